//! What names mean: roots, variables of macros, functions and macros.

use super::{ExpressionError, Parsed, Parser};
use crate::expression::functions::{self, Function, Style};
use crate::expression::lexer::Token;
use crate::expression::syntax::{Kind, Macro, Node};
use crate::expression::{Root, nearest};

/// How deep macros (`all`, `map`, …) may nest: each level multiplies the work of the one inside it.
const MAX_MACROS: usize = 3;

impl Parser {
    pub(super) fn resolve(&mut self, at: usize, name: &str) -> Parsed<Kind> {
        if let Some(local) = self.locals.iter().rposition(|local| local == name) {
            return Ok(Kind::Local(local));
        }
        if let Some(root) = Root::ALL.into_iter().find(|root| root.as_str() == name) {
            return Ok(Kind::Root(root));
        }
        if let Some(name) = functions::type_name(name) {
            return Ok(Kind::Type(name));
        }
        if let Token::Sign("{") = self.peek() {
            let detail = "there are no message types; a map is written {'name': value}";
            return Err(ExpressionError::new(at, detail));
        }
        let known = Root::ALL.iter().map(|root| root.as_str()).chain(self.locals.iter().map(String::as_str));
        let suggestion = nearest(name, known);
        let roots = Root::ALL.map(Root::as_str).join(", ");
        let detail = format!("`{name}` is not known here; there are {roots}");
        self.problems.push(ExpressionError { offset: at, detail, suggestion });
        Ok(Kind::Null)
    }

    pub(super) fn has(&mut self, at: usize, mut arguments: Vec<Node>) -> Parsed {
        match (arguments.pop().map(|node| node.kind), arguments.is_empty()) {
            (Some(Kind::Select { operand, field, .. }), true) => {
                self.node(at, Kind::Select { operand, field, test: true })
            }
            _ => Err(ExpressionError::new(at, "`has` takes one selection, such as has(event.data.path)")),
        }
    }

    /// `range.macro(variable, …)`, after its opening bracket.
    pub(super) fn expand(&mut self, at: usize, kind: Macro, range: Node) -> Parsed {
        let variable_at = self.at();
        let variable = self.name("the name of a variable for each item, such as `x`")?;
        self.expect(",")?;
        if self.locals.len() >= MAX_MACROS {
            let detail = format!("all, exists, map and filter nest at most {MAX_MACROS} deep");
            return Err(ExpressionError::new(variable_at, detail));
        }
        self.locals.push(variable);
        let arguments = self.list(")")?;
        self.locals.pop();
        let mut arguments = arguments.into_iter().map(Box::new);
        let (filter, body) = match (kind, arguments.len()) {
            (_, 1) => (None, arguments.next()),
            (Macro::Map, 2) => (arguments.next(), arguments.next()),
            _ => (None, None),
        };
        match body {
            Some(body) => self.node(at, Kind::Macro { kind, range: Box::new(range), filter, body }),
            None => Err(ExpressionError::new(at, "this takes a variable and one expression")),
        }
    }

    pub(super) fn call(&mut self, at: usize, name: &str, target: Option<Node>, arguments: Vec<Node>) -> Parsed {
        let style = if target.is_some() { Style::Method } else { Style::Global };
        let given = arguments.len();
        let mut all: Vec<Node> = target.into_iter().chain(arguments).collect();
        let Some((function, signature)) = functions::find(name) else {
            let suggestion = nearest(name, functions::names().chain(Macro::NAMES).chain(["has"]));
            let detail = format!("there is no function `{name}`");
            self.problems.push(ExpressionError { offset: at, detail, suggestion });
            return self.node(at, Kind::Null);
        };
        let mut refuse = |detail: String| self.problems.push(ExpressionError::new(at, detail));
        if !signature.allows(style) {
            let how = if style == Style::Method { format!("{name}(value)") } else { format!("value.{name}()") };
            refuse(format!("`{name}` is written as {how}"));
        } else if !signature.arguments.contains(&all.len()) {
            refuse(format!("`{name}` does not take {given} arguments"));
        } else if function == Function::Matches
            && let [_, Node { kind: Kind::Text(pattern), at: pattern_at, .. }] = all.as_slice()
        {
            match functions::compile_regex(pattern) {
                Ok(regex) => {
                    let text = Box::new(all.swap_remove(0));
                    return self.node(at, Kind::Matches(text, regex));
                }
                Err(detail) => self.problems.push(ExpressionError::new(*pattern_at, detail)),
            }
        }
        self.node(at, Kind::Call(function, all))
    }
}
