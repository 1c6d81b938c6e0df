use tidegate_kernel::{StoreError, Transaction, UnitOfWork, WorkspaceScope};

async fn with_a_scope(store: &dyn UnitOfWork<dyn Transaction>, scope: &WorkspaceScope) -> Result<(), StoreError> {
    store.begin(scope).await?.commit().await
}

fn main() {
    let _ = with_a_scope;
}
