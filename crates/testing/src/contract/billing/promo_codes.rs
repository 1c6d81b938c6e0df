//! Promo codes: those of the seller, and what each of two tenants redeems.

use chrono::{SubsecRound, TimeDelta};
use tidegate_billing::Currency;
use tidegate_billing::invoice::{Discount, PromoCode, PromoDuration};
use tidegate_kernel::WorkspaceId;

use super::Subject;

impl Subject {
    /// A code that no other case has.
    fn promo(&self, discount: Discount, duration: PromoDuration) -> PromoCode {
        let now = self.env.now().trunc_subsecs(6);
        PromoCode {
            code: format!("C-{}", self.env.uuid_v7().simple()).to_uppercase(),
            discount,
            duration,
            max_redemptions: Some(3),
            expires_at: Some(now + TimeDelta::days(1)),
            redemptions: 0,
            created_at: now,
            deactivated_at: None,
        }
    }

    async fn stored(&self, promo: PromoCode) -> PromoCode {
        let mut tx = self.catalogue_tx().await;
        assert!(tx.promo_codes().insert(&promo).await.expect("it is stored"));
        tx.commit().await.expect("it commits");
        promo
    }

    async fn promo_of(&self, code: &str) -> Option<PromoCode> {
        self.catalogue_tx().await.promo_codes().find(code).await.expect("it is read")
    }

    /// Redeems a code as the use case does. False if the workspace has redeemed it, or it is used up.
    async fn redeem(&self, workspace: WorkspaceId, code: &str) -> bool {
        let now = self.env.now().trunc_subsecs(6);
        let mut tx = self.tx(workspace).await;
        let mut promo = tx.promos().lock(code).await.expect("it is locked").expect("it is there");
        if !tx.promos().add(&promo.redemption(now)).await.expect("it is stored") || promo.redeem(now, None).is_err() {
            return false;
        }
        tx.promos().save(&promo).await.expect("it is stored");
        tx.commit().await.expect("it commits");
        true
    }
}

/// A code is stored once with all that it has, listed by pages, and deactivated once.
pub async fn a_promo_code_is_stored_listed_and_deactivated(subject: &Subject) {
    let amount = Discount::Amount(Currency::EUR, 500);
    let one = subject.stored(subject.promo(amount, PromoDuration::Forever)).await;
    let other = subject.promo(Discount::Percent(1), PromoDuration::Invoices(7));
    let other = subject.stored(PromoCode { max_redemptions: None, expires_at: None, ..other }).await;
    let again = PromoCode { discount: Discount::Percent(9), ..one.clone() };
    assert!(!subject.catalogue_tx().await.promo_codes().insert(&again).await.expect("it is not stored"));
    assert_eq!(subject.promo_of(&one.code).await, Some(one.clone()));
    assert_eq!(subject.promo_of("NO-SUCH-CODE").await, None);
    let after = one.code.clone();
    let page = subject.catalogue_tx().await.promo_codes().list(Some(&after), 1).await.expect("they are listed");
    assert_eq!(page, std::slice::from_ref(&other));
    assert!(!subject.catalogue_tx().await.promo_codes().list(None, 1).await.expect("they are listed").is_empty());
    let first = subject.env.now().trunc_subsecs(6);
    for at in [first, first + TimeDelta::days(1)] {
        let mut tx = subject.catalogue_tx().await;
        tx.promo_codes().deactivate(&other.code, at).await.expect("it is deactivated");
        tx.commit().await.expect("it commits");
    }
    let deactivated = PromoCode { deactivated_at: Some(first), ..other.clone() };
    assert_eq!(subject.promo_of(&other.code).await, Some(deactivated));
}

/// MUST store one redemption for each workspace, and keep the workspaces apart. What is used up does not count.
pub async fn a_workspace_redeems_a_code_once(subject: &Subject) {
    let first = subject.stored(subject.promo(Discount::Percent(250_000), PromoDuration::Invoices(2))).await;
    let second = subject.stored(subject.promo(Discount::Amount(Currency::EUR, 5), PromoDuration::Forever)).await;
    let workspace = subject.ours;
    assert!(subject.redeem(workspace, &first.code).await);
    assert!(!subject.redeem(workspace, &first.code).await, "once");
    assert!(subject.redeem(workspace, &second.code).await);
    assert!(subject.redeem(subject.theirs, &first.code).await);
    assert_eq!(subject.promo_of(&first.code).await.expect("it is there").redemptions, 2);
    let left = async |workspace| {
        let redeemed = subject.tx(workspace).await.promos().redeemed().await.expect("it is read");
        redeemed.into_iter().map(|promo| (promo.code, promo.discount, promo.left)).collect::<Vec<_>>()
    };
    let of = |promo: &PromoCode, left| (promo.code.clone(), promo.discount, left);
    assert_eq!(left(workspace).await, [of(&first, Some(2)), of(&second, None)]);
    for expected in [vec![of(&first, Some(1)), of(&second, None)], vec![of(&second, None)], vec![of(&second, None)]] {
        let mut tx = subject.tx(workspace).await;
        tx.promos().use_up(&[&first.code, &second.code]).await.expect("it is stored");
        tx.commit().await.expect("it commits");
        assert_eq!(left(workspace).await, expected);
    }
    assert_eq!(left(subject.theirs).await, [of(&first, Some(2))], "another tenant's");
    assert!(subject.tx(workspace).await.promos().lock("NO-SUCH-CODE").await.expect("it is read").is_none());
}

/// MUST let one transaction at a time have a code locked: of many redemptions at once, as many succeed as can.
pub async fn a_code_is_redeemed_as_often_as_it_can_be(subject: &Subject) {
    let promo = subject.promo(Discount::Percent(1), PromoDuration::Forever);
    let promo = subject.stored(PromoCode { max_redemptions: Some(1), ..promo }).await;
    let redeeming = [subject.ours, subject.theirs, subject.ours, subject.theirs].map(|workspace| {
        let (subject, code) = (subject.clone(), promo.code.clone());
        tokio::spawn(async move { subject.redeem(workspace, &code).await })
    });
    let mut redeemed = 0;
    for redeeming in redeeming {
        redeemed += i64::from(redeeming.await.expect("no one fails"));
    }
    assert_eq!((redeemed, subject.promo_of(&promo.code).await.expect("it is there").redemptions), (1, 1));
}
