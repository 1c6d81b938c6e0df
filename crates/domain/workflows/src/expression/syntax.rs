//! The nodes of an expression: what the parser makes and the evaluator walks.

use regex::Regex;

use super::Root;
use super::functions::Function;

/// A node and the byte in the source where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    /// How many nodes lie one below the other, this one included.
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
    /// The variable of a macro; the index counts from the outermost.
    Local(usize),
    Select {
        operand: Box<Node>,
        field: String,
        test: bool,
    },
    Index(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// Two or more.
    And(Vec<Node>),
    /// Two or more.
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Binary(Operator, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
    /// `matches` with a pattern that is known already.
    Matches(Box<Node>, Regex),
    Macro {
        kind: Macro,
        range: Box<Node>,
        filter: Option<Box<Node>>,
        body: Box<Node>,
    },
}

impl Kind {
    /// The nodes right below.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Double(_) | Self::Text(_) => Vec::new(),
            Self::Bytes(_) | Self::Type(_) | Self::Root(_) | Self::Local(_) => Vec::new(),
            Self::Select { operand, .. } => vec![operand],
            Self::Not(operand) | Self::Negate(operand) | Self::Matches(operand, _) => vec![operand],
            Self::Index(left, right) | Self::Binary(_, left, right) => vec![left, right],
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

    /// The levels of precedence, the loosest first.
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
}

impl Macro {
    pub(super) const NAMES: [&'static str; 5] = ["all", "exists", "exists_one", "map", "filter"];

    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" => Self::ExistsOne,
            "map" => Self::Map,
            "filter" => Self::Filter,
            _ => return None,
        })
    }
}
