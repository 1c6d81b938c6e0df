//! Resolves names: roots, variables, types and functions.

use super::{ExpressionError, Parsed, Parser};
use crate::expression::functions::{self, Pattern, Style};
use crate::expression::lexer::Token;
use crate::expression::syntax::{Access, Kind, Macro, Node};
use crate::expression::{Root, nearest};

/// The macros that are written like functions.
const SPECIAL: [&str; 6] = ["has", "cel.bind", "or", "orValue", "optMap", "optFlatMap"];

impl Parser {
    /// A name without a bracket after it.
    pub(super) fn resolve(&mut self, at: usize, name: &str) -> Parsed {
        if let Some(local) = self.locals.iter().rposition(|local| local == name) {
            return self.node(at, Kind::Local(local));
        }
        self.root(at, name)
    }

    /// A name that is not a variable: a root, a type, or the namespace of a function.
    pub(super) fn root(&mut self, at: usize, name: &str) -> Parsed {
        if let Some(root) = Root::ALL.into_iter().find(|root| root.as_str() == name) {
            return self.node(at, Kind::Root(root));
        }
        if let Some(name) = self.type_name(name) {
            return self.node(at, Kind::Type(name));
        }
        if let Some(function) = self.after_dots(1)
            && (functions::is_namespace(name) || name == "cel")
            && self.tokens.get(self.next + 2).is_some_and(|(_, token)| *token == Token::Sign("("))
        {
            let name = format!("{name}.{function}");
            self.next += 3;
            if name == "cel.bind" {
                return self.bind(at);
            }
            let arguments = self.arguments()?;
            return self.call(at, &name, None, arguments);
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
        self.node(at, Kind::Null)
    }

    /// The type with this name. Consumes the further parts of a dotted name.
    fn type_name(&mut self, name: &str) -> Option<&'static str> {
        functions::TYPES.into_iter().find(|known| {
            let mut parts = known.split('.');
            let further = known.split('.').count() - 1;
            let found = parts.next() == Some(name)
                && parts.zip(1..).all(|(part, dots)| self.after_dots(dots).as_deref() == Some(part));
            if found {
                self.next += 2 * further;
            }
            found
        })
    }

    /// The name after `dots` dots, with a name between each two of them.
    fn after_dots(&self, dots: usize) -> Option<String> {
        let mut tokens = self.tokens.get(self.next..)?.chunks_exact(2).take(dots).map(|pair| match pair {
            [(_, Token::Sign(".")), (_, Token::Name(name))] => Some(name.clone()),
            _ => None,
        });
        tokens.nth(dots - 1).flatten()
    }

    pub(super) fn has(&mut self, at: usize, mut arguments: Vec<Node>) -> Parsed {
        match (arguments.pop().map(|node| node.kind), arguments.is_empty()) {
            (Some(Kind::Select { operand, field, .. }), true) => {
                self.node(at, Kind::Select { operand, field, access: Access::Test })
            }
            _ => Err(ExpressionError::new(at, "`has` takes one selection, such as has(event.data.path)")),
        }
    }

    pub(super) fn call(&mut self, at: usize, name: &str, target: Option<Node>, arguments: Vec<Node>) -> Parsed {
        let style = if target.is_some() { Style::Method } else { Style::Global };
        let given = arguments.len();
        let mut all: Vec<Node> = target.into_iter().chain(arguments).collect();
        let Some(function) = functions::find(name) else {
            let known = functions::names().chain(Macro::names()).chain(SPECIAL);
            let suggestion = nearest(name, known);
            let detail = format!("there is no function `{name}`");
            self.problems.push(ExpressionError { offset: at, detail, suggestion });
            return self.node(at, Kind::Null);
        };
        let mut refuse = |detail: String| self.problems.push(ExpressionError::new(at, detail));
        if function.style != Style::Either && function.style != style {
            let how = if style == Style::Method { format!("{name}(value)") } else { format!("value.{name}()") };
            refuse(format!("`{name}` is written as {how}"));
        } else if !function.takes(all.len()) {
            refuse(format!("`{name}` does not take {given} arguments"));
        } else if function.name == "matches"
            && let [_, Node { kind: Kind::Text(pattern), at: pattern_at, .. }] = all.as_slice()
        {
            match Pattern::compile(pattern) {
                Ok(pattern) => {
                    let text = Box::new(all.swap_remove(0));
                    return self.node(at, Kind::Matches(text, Box::new(pattern)));
                }
                Err(detail) => self.problems.push(ExpressionError::new(*pattern_at, detail)),
            }
        }
        self.node(at, Kind::Call(function, all))
    }
}
