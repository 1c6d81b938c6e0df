//! Calls that bind variables, or evaluate an argument only if it is needed.

use super::{ExpressionError, Parsed, Parser};
use crate::expression::lexer::Token;
use crate::expression::syntax::{Kind, Macro, Node, Variables};

/// The maximum nesting of macros (`all`, `map`, …). Each level multiplies the work of the inner one.
const MAX_MACROS: usize = 3;

impl Parser {
    /// `operand.name(…)`, after its opening bracket.
    pub(super) fn method(&mut self, at: usize, name: &str, operand: Node) -> Parsed {
        if let Some((kind, variables)) = Macro::of(name) {
            return self.expand(at, kind, variables, operand);
        }
        match name {
            "optMap" | "optFlatMap" => {
                let variable = self.variable()?;
                let body = Box::new(self.with_variable(variable)?);
                self.expect(")")?;
                let flat = name == "optFlatMap";
                self.node(at, Kind::WithValue { optional: Box::new(operand), body, flat })
            }
            "or" | "orValue" => {
                let mut arguments = self.arguments()?;
                match (arguments.pop(), arguments.is_empty()) {
                    (Some(other), true) => {
                        let (optional, other) = (Box::new(operand), Box::new(other));
                        self.node(at, Kind::OrElse { optional, other, unwrap: name == "orValue" })
                    }
                    _ => Err(ExpressionError::new(at, format!("`{name}` takes one argument"))),
                }
            }
            _ => {
                let arguments = self.arguments()?;
                self.call(at, name, Some(operand), arguments)
            }
        }
    }

    /// `cel.bind(variable, value, expression)`, after its opening bracket.
    pub(super) fn bind(&mut self, at: usize) -> Parsed {
        let variable = self.variable()?;
        let value = self.expression()?;
        self.expect(",")?;
        let body = self.with_variable(variable)?;
        self.expect(")")?;
        self.node(at, Kind::Bind(Box::new([value, body])))
    }

    /// The name of a variable and the comma after it.
    fn variable(&mut self) -> Parsed<String> {
        let variable = self.name("the name of a variable for each item, such as `x`")?;
        self.expect(",")?;
        Ok(variable)
    }

    fn with_variable(&mut self, variable: String) -> Parsed {
        self.locals.push(variable);
        let body = self.expression();
        self.locals.pop();
        body
    }

    /// `range.macro(variable, …)`, after its opening bracket.
    fn expand(&mut self, at: usize, kind: Macro, variables: Variables, range: Node) -> Parsed {
        let variable_at = self.at();
        let first = self.variable()?;
        // A name before a comma can only be a second variable if one expression follows one variable.
        let comma_next = self.tokens.get(self.next + 1).is_some_and(|(_, token)| *token == Token::Sign(","));
        let two = match variables {
            Variables::One => false,
            Variables::Two => true,
            Variables::Either => comma_next && matches!(self.peek(), Token::Name(_)),
        };
        let second = if two { Some(self.variable()?) } else { None };
        if second.as_ref() == Some(&first) {
            return Err(ExpressionError::new(variable_at, "the two variables need different names"));
        }
        if self.macros >= MAX_MACROS {
            let names = Macro::names().collect::<Vec<_>>().join(", ");
            let detail = format!("macros ({names}) nest at most {MAX_MACROS} deep");
            return Err(ExpressionError::new(variable_at, detail));
        }
        let outside = self.locals.len();
        self.locals.push(first);
        self.locals.extend(second);
        self.macros += 1;
        let arguments = self.arguments()?;
        self.macros -= 1;
        self.locals.truncate(outside);
        let mut arguments = arguments.into_iter().map(Box::new);
        let (filter, body) = match arguments.len() {
            1 => (None, arguments.next()),
            2 if kind.may_filter() => (arguments.next(), arguments.next()),
            _ => (None, None),
        };
        match body {
            Some(body) => self.node(at, Kind::Macro { kind, range: Box::new(range), two, filter, body }),
            None if kind.may_filter() => Err(ExpressionError::new(
                at,
                "this takes its variables, a filter where you want one, and one expression",
            )),
            None => Err(ExpressionError::new(at, "this takes its variables and one expression")),
        }
    }
}
