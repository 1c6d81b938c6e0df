//! Maps step types to their handlers.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_workflows::step::{StepClass, StepRegistry};

use super::OpenWorkspaces;
use super::while_open::WhileOpen;
use crate::ports::StepHandler;

/// The name of a step type, with its handler.
pub type NamedHandler = (String, Arc<dyn StepHandler>);

/// The handlers of all step types with effects in this process.
#[derive(Clone, Default)]
pub struct HandlerMap(BTreeMap<String, Arc<dyn StepHandler>>);

impl std::fmt::Debug for HandlerMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why handlers and step types do not match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// A step type with effects has no handler.
    #[error("the step type `{0}` has effects and no handler")]
    Missing(String),
    /// A step type has two handlers.
    #[error("the step type `{0}` has two handlers")]
    Twice(String),
    /// A handler is for a step type that does not exist or has no effects.
    #[error("a handler is for the step type `{0}`, and there is none of this name that has effects")]
    NoSuchType(String),
}

impl HandlerMap {
    /// Binds each handler to its type in `steps`.
    ///
    /// # Errors
    /// [`BindError`] if a type with effects does not have exactly one handler, or a handler has no type with effects.
    pub fn bind(steps: &StepRegistry, handlers: impl IntoIterator<Item = NamedHandler>) -> Result<Self, BindError> {
        let is_effect = |name: &str| steps.get(name).is_some_and(|step| matches!(step.class, StepClass::Effect));
        let mut bound = BTreeMap::new();
        for (name, handler) in handlers {
            if !is_effect(&name) {
                return Err(BindError::NoSuchType(name));
            }
            if bound.insert(name.clone(), handler).is_some() {
                return Err(BindError::Twice(name));
            }
        }
        match steps.names().find(|name| is_effect(name) && !bound.contains_key(*name)) {
            Some(missing) => Err(BindError::Missing(missing.to_owned())),
            None => Ok(Self(bound)),
        }
    }

    /// The same handlers, which refuse to start an attempt in a deleted workspace.
    #[must_use]
    pub fn while_open(self, workspaces: &Arc<OpenWorkspaces>) -> Self {
        let guarded = |inner| WhileOpen { inner, workspaces: Arc::clone(workspaces) };
        let handlers = self.0.into_iter();
        Self(handlers.map(|(name, inner)| (name, Arc::new(guarded(inner)) as Arc<dyn StepHandler>)).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<dyn StepHandler>> {
        self.0.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use serde_json::Value;
    use tidegate_workflows::run::StepError;
    use tidegate_workflows::step::StepType;

    use super::*;
    use crate::ports::StepTask;

    struct Idle;

    #[async_trait]
    impl StepHandler for Idle {
        async fn execute(&self, _: &StepTask) -> Result<Value, StepError> {
            Ok(Value::Null)
        }
    }

    #[test]
    fn every_type_with_effects_has_one_handler_and_no_handler_is_left_over() {
        let mut steps = StepRegistry::built_in().unwrap();
        for name in ["call", "post"] {
            steps.register(StepType::effect(name, "Does it.")).unwrap();
        }
        let bind = |names: &[&str]| {
            let handlers = names.iter().map(|name| ((*name).to_owned(), Arc::new(Idle) as Arc<dyn StepHandler>));
            HandlerMap::bind(&steps, handlers).map(|map| map.0.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(bind(&["post", "call"]), Ok(vec!["call".to_owned(), "post".to_owned()]));
        assert_eq!(bind(&["post"]), Err(BindError::Missing("call".to_owned())));
        assert_eq!(bind(&["call", "post", "call"]), Err(BindError::Twice("call".to_owned())));
        assert_eq!(bind(&["call", "post", "pots"]), Err(BindError::NoSuchType("pots".to_owned())));
        assert_eq!(bind(&["call", "post", "delay"]), Err(BindError::NoSuchType("delay".to_owned())));
    }
}
