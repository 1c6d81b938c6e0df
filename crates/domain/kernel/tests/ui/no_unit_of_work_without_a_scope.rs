use tidegate_kernel::{StoreError, Transaction, UnitOfWork};

async fn without_a_scope(store: &dyn UnitOfWork<dyn Transaction>) -> Result<(), StoreError> {
    store.begin().await?.commit().await
}

fn main() {
    let _ = without_a_scope;
}
