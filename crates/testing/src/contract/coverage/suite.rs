//! The subject of a suite, and the methods that it calls.

use std::collections::{BTreeMap, BTreeSet};

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Expr, FnArg, Ident, Item, Member, Pat, ReturnType, Token};

use super::ports::{Known, Ports};

/// Calls that return what they are called on, as far as it matters here.
const TRANSPARENT: [&str; 6] = ["clone", "expect", "unwrap", "as_ref", "as_mut", "into_iter"];

/// One suite.
pub(super) struct Suite<'a> {
    ports: &'a Ports,
    files: &'a [syn::File],
    /// The traits under test.
    pub(super) about: BTreeSet<String>,
    /// The fields of its types.
    fields: BTreeMap<(String, String), Known>,
    /// The return types of the methods of its types, and of its functions, which have no type.
    answers: BTreeMap<(String, String), Known>,
}

/// `subject! { about { … } beside { … } }`
struct SubjectFields(Vec<(bool, Ident, syn::Type)>);

impl Parse for SubjectFields {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut fields = Vec::new();
        while !input.is_empty() {
            let about = input.parse::<Ident>()? == "about";
            let inside;
            syn::braced!(inside in input);
            while !inside.is_empty() {
                inside.call(syn::Attribute::parse_outer)?;
                let name = inside.parse()?;
                inside.parse::<Token![:]>()?;
                let ty = inside.parse()?;
                inside.parse::<Token![=]>()?;
                inside.parse::<Ident>()?;
                inside.parse::<Token![,]>()?;
                fields.push((about, name, ty));
            }
        }
        Ok(Self(fields))
    }
}

impl<'a> Suite<'a> {
    pub(super) fn read(ports: &'a Ports, files: &'a [syn::File]) -> Self {
        let mut suite =
            Self { ports, files, about: BTreeSet::new(), fields: BTreeMap::new(), answers: BTreeMap::new() };
        let mut taken = BTreeSet::new();
        for item in files.iter().flat_map(|file| &file.items) {
            match item {
                Item::Macro(call) if call.mac.path.is_ident("subject") => {
                    let SubjectFields(fields) = call.mac.parse_body().expect("the fields of a subject");
                    for (about, name, ty) in fields {
                        let known = suite.add_field("Subject", &name, &ty);
                        suite.about.extend(known.iter().filter(|_| about).flat_map(|known| ports.reached(known)));
                    }
                }
                Item::Struct(own) => {
                    for field in &own.fields {
                        let Some(name) = &field.ident else { continue };
                        taken.extend(
                            suite.add_field(&own.ident.to_string(), name, &field.ty).map(|known| ports.reached(&known)),
                        );
                    }
                }
                Item::Fn(function) => {
                    suite.add_function("", &function.sig);
                    let given = function.sig.inputs.iter().filter_map(|input| suite.parameter("", input)?.1);
                    taken.extend(given.map(|known| ports.reached(&known)));
                }
                Item::Impl(of) => {
                    let Some(Known::Own(name)) = ports.known(&of.self_ty) else { continue };
                    for item in &of.items {
                        if let syn::ImplItem::Fn(function) = item {
                            suite.add_function(&name, &function.sig);
                        }
                    }
                }
                _ => {}
            }
        }
        // Without a subject, the traits under test are those of the parameters of its cases.
        if suite.about.is_empty() {
            suite.about = taken.into_iter().flatten().collect();
        }
        suite
    }

    fn add_field(&mut self, owner: &str, name: &Ident, ty: &syn::Type) -> Option<Known> {
        let known = self.ports.known(ty)?;
        self.fields.insert((owner.to_owned(), name.to_string()), known.clone());
        Some(known)
    }

    fn add_function(&mut self, owner: &str, function: &syn::Signature) {
        let ReturnType::Type(_, answer) = &function.output else { return };
        let Some(known) = self.ports.known(answer) else { return };
        let itself = known == Known::Own("Self".to_owned());
        let known = if itself { Known::Own(owner.to_owned()) } else { known };
        self.answers.insert((owner.to_owned(), function.ident.to_string()), known);
    }

    /// The name and the type of a parameter of a function of `owner`.
    fn parameter(&self, owner: &str, input: &FnArg) -> Option<(String, Option<Known>)> {
        match input {
            FnArg::Receiver(_) => Some(("self".to_owned(), Some(Known::Own(owner.to_owned())))),
            FnArg::Typed(typed) => match &*typed.pat {
                Pat::Ident(name) => Some((name.ident.to_string(), self.ports.known(&typed.ty))),
                _ => None,
            },
        }
    }

    /// The methods, as `Trait::method`, that it calls on values of the traits under test.
    pub(super) fn tried(&self) -> BTreeSet<String> {
        let mut walk = Walk { suite: self, owner: String::new(), locals: BTreeMap::new(), called: BTreeSet::new() };
        for file in self.files {
            walk.visit_file(file);
        }
        let called = walk.called.into_iter().filter(|(port, _)| self.about.contains(port));
        called.map(|(port, method)| format!("{port}::{method}")).collect()
    }
}

/// Visits functions in the order of their statements.
struct Walk<'a> {
    suite: &'a Suite<'a>,
    /// The type whose functions these are.
    owner: String,
    locals: BTreeMap<String, Option<Known>>,
    called: BTreeSet<(String, String)>,
}

impl Walk<'_> {
    /// Runs `work` in a scope of its own: bindings end with it.
    fn within(&mut self, work: impl FnOnce(&mut Self)) {
        let outside = self.locals.clone();
        work(self);
        self.locals = outside;
    }

    fn bind(&mut self, pattern: &Pat, known: Option<Known>) {
        match (pattern, known) {
            (Pat::Ident(name), known) => drop(self.locals.insert(name.ident.to_string(), known)),
            (Pat::Type(typed), known) => {
                let written = self.suite.ports.known(&typed.ty).or(known);
                self.bind(&typed.pat, written);
            }
            (Pat::Reference(inner), known) => self.bind(&inner.pat, known),
            (Pat::Tuple(several), Some(Known::Tuple(known))) => {
                for (pattern, known) in several.elems.iter().zip(known) {
                    self.bind(pattern, known);
                }
            }
            (Pat::Tuple(several), _) => several.elems.iter().for_each(|pattern| self.bind(pattern, None)),
            _ => {}
        }
    }

    /// The type of an expression. It records the calls in the expression.
    fn known(&mut self, expr: &Expr) -> Option<Known> {
        match expr {
            Expr::Path(path) => self.locals.get(&path.path.get_ident()?.to_string()).cloned().flatten(),
            Expr::Await(inner) => self.known(&inner.base),
            Expr::Try(inner) => self.known(&inner.expr),
            Expr::Reference(inner) => self.known(&inner.expr),
            Expr::Paren(inner) => self.known(&inner.expr),
            Expr::Unary(inner) => self.known(&inner.expr),
            Expr::Index(many) => self.known(&many.expr),
            Expr::Array(many) => self.known(many.elems.first()?),
            Expr::Tuple(several) => Some(Known::Tuple(several.elems.iter().map(|expr| self.known(expr)).collect())),
            Expr::Field(field) => {
                let (Known::Own(owner), Member::Named(name)) = (self.known(&field.base)?, &field.member) else {
                    return None;
                };
                self.suite.fields.get(&(owner, name.to_string())).cloned()
            }
            Expr::Call(call) => {
                let Expr::Path(function) = &*call.func else { return None };
                let names: Vec<String> = function.path.segments.iter().map(|name| name.ident.to_string()).collect();
                match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                    ["Arc", "clone"] | ["Box", "pin"] => self.known(call.args.first()?),
                    [.., "Self", _] => self.answer(&self.owner.clone(), &function.path.segments.last()?.ident),
                    [.., owner, _] => self.answer(owner, &function.path.segments.last()?.ident),
                    [_] => self.answer("", function.path.get_ident()?),
                    [] => None,
                }
            }
            Expr::MethodCall(call) => self.call(call),
            _ => None,
        }
    }

    fn answer(&self, owner: &str, name: &Ident) -> Option<Known> {
        self.suite.answers.get(&(owner.to_owned(), name.to_string())).cloned()
    }

    fn call(&mut self, call: &syn::ExprMethodCall) -> Option<Known> {
        let (on, name) = (self.known(&call.receiver)?, call.method.to_string());
        if TRANSPARENT.contains(&name.as_str()) {
            return Some(on);
        }
        match on {
            Known::Own(owner) => self.answer(&owner, &call.method),
            Known::Unit(transaction) => {
                self.called.insert(("UnitOfWork".to_owned(), name));
                Some(Known::Port(transaction))
            }
            Known::Port(port) => {
                let ports = self.suite.ports;
                if let Some(given) = ports.given(&port, &name) {
                    return Some(given);
                }
                let (declared, answer) = ports.method(&port, &name)?;
                self.called.insert((declared.to_owned(), name));
                ports.known(answer?)
            }
            Known::Tuple(_) => None,
        }
    }

    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        self.within(|walk| {
            walk.locals.clear();
            for (name, known) in signature.inputs.iter().filter_map(|input| walk.suite.parameter(&walk.owner, input)) {
                walk.locals.insert(name, known);
            }
            visit::visit_block(walk, body);
        });
    }
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_impl(&mut self, of: &'ast syn::ItemImpl) {
        if let Some(Known::Own(owner)) = self.suite.ports.known(&of.self_ty) {
            self.owner = owner;
        }
        visit::visit_item_impl(self, of);
        self.owner.clear();
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.within(|walk| visit::visit_block(walk, block));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        let known = local.init.as_ref().and_then(|init| self.known(&init.expr));
        self.bind(&local.pat, known);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.within(|walk| {
            closure.inputs.iter().for_each(|input| walk.bind(input, None));
            visit::visit_expr_closure(walk, closure);
        });
    }

    fn visit_expr_for_loop(&mut self, each: &'ast syn::ExprForLoop) {
        self.within(|walk| {
            let known = walk.known(&each.expr);
            walk.bind(&each.pat, known);
            visit::visit_expr_for_loop(walk, each);
        });
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.call(call);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // If the arguments are not a list of expressions, such as the pattern of `matches!`, only the first expression
        // has calls.
        let first = |input: ParseStream<'_>| {
            let first = input.parse::<Expr>()?;
            input.parse::<proc_macro2::TokenStream>()?;
            Ok(first)
        };
        let all = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        for expr in all.map_or_else(|_| call.parse_body_with(first).into_iter().collect(), Vec::from_iter) {
            Visit::visit_expr(self, &expr);
        }
    }
}
