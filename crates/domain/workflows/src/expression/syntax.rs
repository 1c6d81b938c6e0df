//! The syntax tree of an expression: built by the parser, walked by the evaluator.

use super::Root;
use super::functions::{Function, Pattern};

/// A node and its byte offset in the source.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    /// The height of the tree below, including this node.
    pub(super) height: usize,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Type(&'static str),
    Root(Root),
    /// The variable of a macro. The index counts from the outermost one.
    Local(usize),
    Select {
        operand: Box<Node>,
        field: String,
        access: Access,
    },
    Index {
        operand: Box<Node>,
        key: Box<Node>,
        access: Access,
    },
    /// An optional item, which is left out if its optional is absent, is a `Spread`.
    List(Vec<Node>),
    /// The key of an optional entry, which is left out if its optional is absent, is a `Spread`.
    Map(Vec<(Node, Node)>),
    Spread(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// Two or more terms.
    And(Vec<Node>),
    /// Two or more terms.
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(&'static Function, Vec<Node>),
    /// `matches` with a pattern that is known at compile time.
    Matches(Box<Node>, Box<Pattern>),
    Macro {
        kind: Macro,
        range: Box<Node>,
        /// Whether the body has two variables: one for the index or key, and one for the item or value.
        two: bool,
        filter: Option<Box<Node>>,
        body: Box<Node>,
    },
    /// A value, and an expression with a variable that holds it.
    Bind(Box<[Node; 2]>),
    /// An optional, and the expression for the case that it is absent.
    OrElse {
        optional: Box<Node>,
        other: Box<Node>,
        /// Whether the result is the value in the optional, instead of the optional itself.
        unwrap: bool,
    },
    /// An optional, and an expression with a variable that holds its value.
    WithValue {
        optional: Box<Node>,
        body: Box<Node>,
        /// Whether the body returns an optional itself.
        flat: bool,
    },
}

/// How a member or an item is accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Its value; it has to exist.
    Value,
    /// Whether it exists.
    Test,
    /// Its value as an optional.
    Optional,
}

impl Kind {
    /// The direct children.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Double(_) | Self::Text(_) => Vec::new(),
            Self::Bytes(_) | Self::Type(_) | Self::Root(_) | Self::Local(_) => Vec::new(),
            Self::Select { operand, .. } => vec![operand],
            Self::Not(operand) | Self::Negate(operand) | Self::Matches(operand, _) | Self::Spread(operand) => {
                vec![operand]
            }
            Self::Index { operand: left, key: right, .. } | Self::Binary(_, left, right) => vec![left, right],
            Self::OrElse { optional, other: second, .. } | Self::WithValue { optional, body: second, .. } => {
                vec![optional, second]
            }
            Self::Bind(two) => two.iter().collect(),
            Self::List(items) | Self::And(items) | Self::Or(items) | Self::Call(_, items) => items.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::If(three) => three.iter().collect(),
            Self::Macro { range, filter, body, .. } => {
                [Some(range), filter.as_ref(), Some(body)].into_iter().flatten().map(Box::as_ref).collect()
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    pub(super) const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }

    /// The levels of precedence, the lowest first.
    pub(super) const LEVELS: [&'static [Self]; 3] = [
        &[Self::Equal, Self::NotEqual, Self::LessOrEqual, Self::GreaterOrEqual, Self::Less, Self::Greater, Self::In],
        &[Self::Add, Self::Subtract],
        &[Self::Multiply, Self::Divide, Self::Modulo],
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
}

/// The variables of a macro over a list or a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variables {
    One,
    Two,
    Either,
}

impl Macro {
    const TABLE: [(&'static str, Self, Variables); 9] = [
        ("all", Self::All, Variables::Either),
        ("exists", Self::Exists, Variables::Either),
        ("exists_one", Self::ExistsOne, Variables::Either),
        ("existsOne", Self::ExistsOne, Variables::Either),
        ("map", Self::Map, Variables::One),
        ("filter", Self::Filter, Variables::One),
        ("transformList", Self::TransformList, Variables::Two),
        ("transformMap", Self::TransformMap, Variables::Two),
        ("transformMapEntry", Self::TransformMapEntry, Variables::Two),
    ];

    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        Self::TABLE.iter().map(|(name, ..)| *name)
    }

    pub(super) fn of(name: &str) -> Option<(Self, Variables)> {
        Self::TABLE.iter().find(|(known, ..)| *known == name).map(|(_, kind, variables)| (*kind, *variables))
    }

    /// Whether a filter may precede the body.
    pub(super) const fn may_filter(self) -> bool {
        matches!(self, Self::Map | Self::TransformList | Self::TransformMap | Self::TransformMapEntry)
    }

    /// Whether the body has to be a boolean.
    pub(super) const fn asks(self) -> bool {
        matches!(self, Self::All | Self::Exists | Self::ExistsOne | Self::Filter)
    }
}
