//! The ports as the sources of domains, engine and adapters declare them.

use std::collections::{BTreeMap, BTreeSet};

use syn::{GenericArgument, Item, PathArguments, ReturnType, TraitItem, TypeParamBound};

/// What is known of the type of an expression: enough to find whose method is called on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// A value of this trait.
    Port(String),
    /// A unit of work that begins transactions of this trait.
    Unit(String),
    /// A type of the suite itself.
    Own(String),
    /// A tuple.
    Tuple(Vec<Option<Known>>),
}

/// Traits, and the units of work that begin their transactions.
#[derive(Default)]
pub(super) struct Ports {
    traits: BTreeMap<String, Port>,
    aliases: BTreeMap<String, syn::Type>,
    /// The traits that an adapter of a store implements.
    of_adapters: BTreeSet<String>,
}

#[derive(Default)]
struct Port {
    above: Vec<String>,
    /// The methods of traits with their return types.
    methods: BTreeMap<String, Option<syn::Type>>,
    /// The accessors of transactions with the trait that each returns.
    accessors: BTreeMap<String, String>,
}

impl Ports {
    pub(super) fn read(declared: &[syn::File], adapters: &[syn::File]) -> Self {
        let mut ports = Self::default();
        for item in declared.iter().flat_map(|file| &file.items) {
            match item {
                Item::Trait(port) if matches!(port.vis, syn::Visibility::Public(_)) => {
                    let before = ports.traits.insert(port.ident.to_string(), Port::read(port));
                    assert!(
                        before.is_none(),
                        "two ports have the name {}, so that no call tells them apart",
                        port.ident
                    );
                }
                Item::Type(alias) => drop(ports.aliases.insert(alias.ident.to_string(), (*alias.ty).clone())),
                _ => {}
            }
        }
        for item in adapters.iter().flat_map(|file| &file.items) {
            let Item::Impl(syn::ItemImpl { trait_: Some((_, path, _)), .. }) = item else { continue };
            ports.of_adapters.extend(path.segments.last().map(|name| name.ident.to_string()));
        }
        ports
    }

    /// Every method of a trait that adapters of stores implement, as `Trait::method`.
    pub(super) fn methods_of_adapters(&self) -> BTreeSet<String> {
        let given = self.traits.values().flat_map(|port| port.accessors.values());
        self.methods_of(&self.of_adapters.iter().chain(given).cloned().collect())
    }

    /// Every method of some traits, as `Trait::method`.
    pub(super) fn methods_of(&self, traits: &BTreeSet<String>) -> BTreeSet<String> {
        let ports = traits.iter().filter_map(|name| Some((name, self.traits.get(name)?)));
        ports.flat_map(|(name, port)| port.methods.keys().map(move |method| format!("{name}::{method}"))).collect()
    }

    /// The traits that belong to a value of this type: the trait itself, its supertraits, and what its transactions
    /// return.
    pub(super) fn reached(&self, known: &Known) -> BTreeSet<String> {
        let (mut names, begun) = match known {
            Known::Port(port) => (self.line(port), None),
            Known::Unit(transaction) => (vec!["UnitOfWork"], Some(transaction)),
            Known::Own(_) | Known::Tuple(_) => return BTreeSet::new(),
        };
        for above in begun.into_iter().flat_map(|transaction| self.line(transaction)) {
            names.push(above);
            names.extend(self.traits[above].accessors.values().map(String::as_str));
        }
        names.into_iter().map(str::to_owned).collect()
    }

    /// The trait of that name and its supertraits, as far as they are known.
    fn line(&self, name: &str) -> Vec<&str> {
        let Some((name, port)) = self.traits.get_key_value(name) else { return Vec::new() };
        std::iter::once(name.as_str()).chain(port.above.iter().flat_map(|above| self.line(above))).collect()
    }

    /// The trait that an accessor of a transaction returns.
    pub(super) fn given(&self, transaction: &str, accessor: &str) -> Option<Known> {
        let given = self.line(transaction).into_iter().find_map(|name| self.traits[name].accessors.get(accessor));
        given.cloned().map(Known::Port)
    }

    /// The trait that declares a method which can be called on a value of `port`, and the method's return type.
    pub(super) fn method(&self, port: &str, method: &str) -> Option<(&str, Option<&syn::Type>)> {
        let found = |name| Some((name, self.traits[name].methods.get(method)?.as_ref()));
        self.line(port).into_iter().find_map(found)
    }

    /// What is known of a type, from its syntax.
    pub(super) fn known(&self, ty: &syn::Type) -> Option<Known> {
        match ty {
            syn::Type::Reference(inner) => self.known(&inner.elem),
            syn::Type::Paren(inner) => self.known(&inner.elem),
            syn::Type::Group(inner) => self.known(&inner.elem),
            syn::Type::Array(many) => self.known(&many.elem),
            syn::Type::Slice(many) => self.known(&many.elem),
            syn::Type::Tuple(several) => Some(Known::Tuple(several.elems.iter().map(|ty| self.known(ty)).collect())),
            syn::Type::TraitObject(object) => self.bound(object.bounds.first()?),
            syn::Type::ImplTrait(object) => self.bound(object.bounds.first()?),
            syn::Type::Path(path) => {
                let last = path.path.segments.last()?;
                let name = last.ident.to_string();
                match (name.as_str(), &last.arguments) {
                    ("Arc" | "Box" | "Option" | "Result" | "Vec", PathArguments::AngleBracketed(of)) => {
                        self.argument(of.args.first()?)
                    }
                    _ => self.aliases.get(&name).map_or(Some(Known::Own(name)), |alias| self.known(alias)),
                }
            }
            _ => None,
        }
    }

    fn argument(&self, argument: &GenericArgument) -> Option<Known> {
        if let GenericArgument::Type(ty) = argument { self.known(ty) } else { None }
    }

    fn bound(&self, bound: &TypeParamBound) -> Option<Known> {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last()?;
        let PathArguments::AngleBracketed(of) = &last.arguments else {
            return Some(Known::Port(last.ident.to_string()));
        };
        match self.argument(of.args.first()?)? {
            Known::Port(transaction) if last.ident == "UnitOfWork" => Some(Known::Unit(transaction)),
            _ => None,
        }
    }
}

impl Port {
    fn read(port: &syn::ItemTrait) -> Self {
        let above = port.supertraits.iter().filter_map(|bound| match bound {
            TypeParamBound::Trait(bound) => bound.path.segments.last().map(|name| name.ident.to_string()),
            _ => None,
        });
        let mut read = Self { above: above.collect(), ..Self::default() };
        for item in &port.items {
            let TraitItem::Fn(function) = item else { continue };
            let name = function.sig.ident.to_string();
            let answer = match &function.sig.output {
                ReturnType::Type(_, answer) => Some((**answer).clone()),
                ReturnType::Default => None,
            };
            match answer.as_ref().and_then(given_out) {
                Some(given) => drop(read.accessors.insert(name, given)),
                None => drop(read.methods.insert(name, answer)),
            }
        }
        read
    }
}

/// The trait in `Box<dyn Trait + '_>`, which borrows its transaction.
fn given_out(answer: &syn::Type) -> Option<String> {
    let syn::Type::Path(path) = answer else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Box")?;
    let PathArguments::AngleBracketed(of) = &last.arguments else { return None };
    let GenericArgument::Type(syn::Type::TraitObject(object)) = of.args.first()? else { return None };
    let borrows = object.bounds.iter().any(|bound| matches!(bound, TypeParamBound::Lifetime(_)));
    let TypeParamBound::Trait(bound) = object.bounds.first().filter(|_| borrows)? else { return None };
    bound.path.segments.last().map(|name| name.ident.to_string())
}
