//! Parses CEL: resolves names, recognises macros, bounds sizes.
//!
//! This is a recursive descent parser for the grammar of the specification. The `cel` crate is not used, because its
//! parser needed more than two megabytes of stack for two dozen brackets, it gives no place for run-time errors, and it
//! has no cost limit. The tests compare this implementation with it.

mod macros;
mod names;

use super::ExpressionError;
use super::lexer::{Token, tokens};
use super::syntax::{Access, Kind, Node, Operator};

/// The maximum size of one expression, in bytes.
const MAX_SOURCE: usize = 4_096;
/// The maximum number of nodes in one expression.
const MAX_NODES: usize = 1_000;
/// The maximum nesting of nodes, including chains of operators. It bounds the stack.
const MAX_DEPTH: usize = 64;

/// The reserved words of CEL.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The syntax tree of `source`, or all of its problems.
pub(super) fn parse(source: &str) -> Result<Node, Vec<ExpressionError>> {
    let one = |error| vec![error];
    if source.trim().is_empty() {
        return Err(one(ExpressionError::new(0, "the expression is empty")));
    }
    if source.len() > MAX_SOURCE {
        let detail = format!("an expression has at most {MAX_SOURCE} bytes, this one has {}", source.len());
        return Err(one(ExpressionError::new(0, detail)));
    }
    let tokens = tokens(source).map_err(one)?;
    let mut parser =
        Parser { tokens, next: 0, depth: 0, nodes: 0, locals: Vec::new(), macros: 0, problems: Vec::new() };
    match parser.expression() {
        Ok(node) => match parser.peek().clone() {
            Token::End if parser.problems.is_empty() => Ok(node),
            Token::End => Err(parser.problems),
            other => {
                let at = parser.at();
                parser.problems.push(ExpressionError::new(at, format!("{} does not belong here", other.describe())));
                Err(parser.problems)
            }
        },
        Err(error) => {
            parser.problems.push(error);
            Err(parser.problems)
        }
    }
}

/// A binary operator or connective.
#[derive(Debug, Clone, Copy)]
enum Joint {
    Or,
    And,
    Binary(Operator),
}

/// A syntax error ends the parse. Unknown names are collected.
type Parsed<T = Node> = Result<T, ExpressionError>;

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    nodes: usize,
    /// The variables of the enclosing macros.
    locals: Vec<String>,
    /// How many enclosing macros evaluate this place once per item.
    macros: usize,
    problems: Vec<ExpressionError>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    /// Consumes the sign if it is next, and returns its offset.
    fn take(&mut self, sign: &str) -> Option<usize> {
        let at = self.at();
        if matches!(self.peek(), Token::Sign(found) if *found == sign) {
            self.next += 1;
            return Some(at);
        }
        None
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        match self.take(sign) {
            Some(_) => Ok(()),
            None => {
                let found = self.peek().describe();
                Err(ExpressionError::new(self.at(), format!("expected `{sign}` instead of {found}")))
            }
        }
    }

    fn node(&mut self, at: usize, kind: Kind) -> Parsed {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(ExpressionError::new(at, format!("an expression has at most {MAX_NODES} parts")));
        }
        let height = 1 + kind.children().iter().map(|child| child.height).max().unwrap_or(0);
        if height > MAX_DEPTH {
            return Err(too_deep(at));
        }
        Ok(Node { at, height, kind })
    }

    fn expression(&mut self) -> Parsed {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(too_deep(self.at()));
        }
        let condition = self.chain(0)?;
        let node = match self.take("?") {
            Some(at) => {
                let then = self.chain(0)?;
                self.expect(":")?;
                let otherwise = self.expression()?;
                self.node(at, Kind::If(Box::new([condition, then, otherwise])))?
            }
            None => condition,
        };
        self.depth -= 1;
        Ok(node)
    }

    /// A chain of operators with at least the precedence `level`.
    fn chain(&mut self, level: usize) -> Parsed {
        let mut left = self.unary()?;
        while let Some((joint, found)) = self.joint()
            && found >= level
        {
            let at = self.at();
            self.next += 1;
            let right = self.chain(found + 1)?;
            // A long chain of one connective becomes one node, so that the tree stays flat.
            let kind = match (joint, left) {
                (Joint::And, Node { kind: Kind::And(mut terms), .. }) => {
                    terms.push(right);
                    Kind::And(terms)
                }
                (Joint::Or, Node { kind: Kind::Or(mut terms), .. }) => {
                    terms.push(right);
                    Kind::Or(terms)
                }
                (Joint::And, left) => Kind::And(vec![left, right]),
                (Joint::Or, left) => Kind::Or(vec![left, right]),
                (Joint::Binary(operator), left) => Kind::Binary(operator, Box::new(left), Box::new(right)),
            };
            left = self.node(at, kind)?;
        }
        Ok(left)
    }

    /// The next operator and its precedence.
    fn joint(&self) -> Option<(Joint, usize)> {
        let symbol = match self.peek() {
            Token::Sign("||") => return Some((Joint::Or, 0)),
            Token::Sign("&&") => return Some((Joint::And, 1)),
            Token::Sign(sign) => sign,
            Token::Name(name) => name.as_str(),
            _ => return None,
        };
        let levels = Operator::LEVELS.iter().zip(2..);
        levels
            .flat_map(|(operators, level)| operators.iter().map(move |operator| (*operator, level)))
            .find_map(|(operator, level)| (operator.symbol() == symbol).then_some((Joint::Binary(operator), level)))
    }

    fn unary(&mut self) -> Parsed {
        let at = self.at();
        let mut count = 0usize;
        for (sign, negates) in [("!", false), ("-", true)] {
            while self.take(sign).is_some() {
                count += 1;
                // The smallest int has no positive counterpart, so its sign belongs to the literal.
                if let (true, Token::Int(value)) = (negates, self.peek()) {
                    let value = 0i64.checked_sub_unsigned(*value).ok_or_else(|| out_of_range(at))?;
                    let literal_at = self.at();
                    self.next += 1;
                    let literal = self.node(literal_at, Kind::Int(value))?;
                    let member = self.member(literal)?;
                    return if count % 2 == 1 { Ok(member) } else { self.node(at, Kind::Negate(Box::new(member))) };
                }
            }
            if count > 0 {
                let primary = self.primary()?;
                let operand = self.member(primary)?;
                let kind = if negates { Kind::Negate } else { Kind::Not };
                // An even number of signs still checks the type, so two of them are kept.
                let inner = self.node(at, kind(Box::new(operand)))?;
                return if count % 2 == 1 { Ok(inner) } else { self.node(at, kind(Box::new(inner))) };
            }
        }
        let primary = self.primary()?;
        self.member(primary)
    }

    /// The suffixes of a value: `.field`, `.method(…)`, `[…]`, and the optional `.?field` and `[?…]`.
    fn member(&mut self, mut operand: Node) -> Parsed {
        loop {
            if let Some(at) = self.take("[") {
                let access = if self.take("?").is_some() { Access::Optional } else { Access::Value };
                let key = Box::new(self.expression()?);
                self.expect("]")?;
                operand = self.node(at, Kind::Index { operand: Box::new(operand), key, access })?;
            } else if self.take(".").is_some() {
                let access = if self.take("?").is_some() { Access::Optional } else { Access::Value };
                let at = self.at();
                if let Token::Quoted(field) = self.peek().clone() {
                    self.next += 1;
                    operand = self.node(at, Kind::Select { operand: Box::new(operand), field, access })?;
                    continue;
                }
                let name = self.name("a name after the dot")?;
                operand = if access == Access::Value && self.take("(").is_some() {
                    self.method(at, &name, operand)?
                } else {
                    self.node(at, Kind::Select { operand: Box::new(operand), field: name, access })?
                };
            } else {
                return Ok(operand);
            }
        }
    }

    fn name(&mut self, what: &str) -> Parsed<String> {
        let at = self.at();
        match self.advance() {
            Token::Name(name) => Ok(name),
            other => Err(ExpressionError::new(at, format!("expected {what} instead of {}", other.describe()))),
        }
    }

    /// The arguments of a call.
    fn arguments(&mut self) -> Parsed<Vec<Node>> {
        self.list(")", Self::expression)
    }

    /// An expression that may begin with `?`, which leaves the item out if it is absent.
    fn spread(&mut self) -> Parsed {
        match self.take("?") {
            Some(at) => {
                let optional = self.expression()?;
                self.node(at, Kind::Spread(Box::new(optional)))
            }
            None => self.expression(),
        }
    }

    /// Expressions up to `close`, with an optional trailing comma.
    fn list(&mut self, close: &str, item: fn(&mut Self) -> Parsed) -> Parsed<Vec<Node>> {
        let mut items = Vec::new();
        while self.take(close).is_none() {
            items.push(item(self)?);
            if self.take(",").is_none() {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        let kind = match self.advance() {
            Token::Int(value) => Kind::Int(i64::try_from(value).map_err(|_| out_of_range(at))?),
            Token::Uint(value) => Kind::Uint(value),
            Token::Double(value) => Kind::Double(value),
            Token::Text(value) => Kind::Text(value),
            Token::Bytes(value) => Kind::Bytes(value),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => Kind::List(self.list("]", Self::spread)?),
            Token::Sign("{") => Kind::Map(self.entries()?),
            Token::Sign(".") => {
                let at = self.at();
                let name = self.name("the name of a root after the dot")?;
                if self.take("(").is_some() {
                    let arguments = self.arguments()?;
                    return self.call(at, &name, None, arguments);
                }
                return self.root(at, &name);
            }
            Token::Name(name) => match name.as_str() {
                "null" => Kind::Null,
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                word if RESERVED.contains(&word) => {
                    return Err(ExpressionError::new(at, format!("`{word}` is a word that CEL keeps for itself")));
                }
                _ if self.take("(").is_some() => {
                    let arguments = self.arguments()?;
                    return if name == "has" { self.has(at, arguments) } else { self.call(at, &name, None, arguments) };
                }
                _ => return self.resolve(at, &name),
            },
            other => {
                return Err(ExpressionError::new(at, format!("expected a value instead of {}", other.describe())));
            }
        };
        self.node(at, kind)
    }

    fn entries(&mut self) -> Parsed<Vec<(Node, Node)>> {
        let mut entries = Vec::new();
        while self.take("}").is_none() {
            let key = self.spread()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }
}

fn too_deep(at: usize) -> ExpressionError {
    ExpressionError::new(at, format!("an expression nests at most {MAX_DEPTH} deep"))
}

fn out_of_range(at: usize) -> ExpressionError {
    ExpressionError::new(at, "this number is outside the range of ints")
}
