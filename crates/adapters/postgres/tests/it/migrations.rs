//! Each migration can be taken back and applied again.

use tidegate_testing::{TestDatabase, schema};

#[tokio::test]
async fn each_goes_up_down_and_up_again() {
    schema::goes_up_down_and_up_again(&TestDatabase::empty().await).await;
}
