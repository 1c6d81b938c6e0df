use tidegate_kernel::{StoreError, SystemScope, Transaction, UnitOfWork};

async fn with_a_system_scope(store: &dyn UnitOfWork<dyn Transaction>, scope: &SystemScope) -> Result<(), StoreError> {
    store.begin(scope).await?.commit().await
}

fn main() {
    let _ = with_a_system_scope;
}
