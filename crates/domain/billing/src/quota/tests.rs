//! Processes that share a limit, with a ledger in memory whose answers can be lost.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use tidegate_kernel::{
    Actor, Clock, Entropy, Environment, Limit, Meter, PermissionSet, Quota, RequestId, Reservation, ScopeIssuer,
    StoreError, SystemScope, WorkspaceId, WorkspaceScope,
};

use super::*;
use crate::ports::{BudgetLedger, PlanLimits};

const LIMIT: i64 = 300;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        "2026-05-01T12:00:00Z".parse().unwrap()
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct Limited;

#[async_trait]
impl PlanLimits for Limited {
    async fn limit(&self, _: &WorkspaceScope, meter: Meter) -> Result<Limit, StoreError> {
        Ok(if meter == Meter::Steps { Limit::Unlimited } else { Limit::AtMost(LIMIT) })
    }
}

#[derive(Default)]
struct Ledger {
    granted: Mutex<HashMap<Meter, i64>>,
    /// How many of the next answers are lost after they took effect.
    lost: Mutex<u8>,
}

impl Ledger {
    fn answer(&self) -> Result<(), StoreError> {
        let mut lost = self.lost.lock().unwrap();
        if *lost == 0 {
            return Ok(());
        }
        *lost -= 1;
        Err(StoreError::Unavailable("the answer was lost".into()))
    }
}

#[async_trait]
impl BudgetLedger for Ledger {
    async fn grant(&self, _: &WorkspaceScope, request: &GrantRequest) -> Result<Grant, StoreError> {
        let mut granted = self.granted.lock().unwrap();
        let used = granted.entry(request.meter).or_default();
        let units = granted_units(request, *used);
        *used += units;
        self.answer().map(|()| Grant { units, used: *used })
    }

    async fn give_back(&self, _: &SystemScope, units: &[Returned]) -> Result<(), StoreError> {
        let mut granted = self.granted.lock().unwrap();
        for returned in units {
            *granted.entry(returned.meter).or_default() -= returned.units;
        }
        self.answer()
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn scopes() -> (WorkspaceScope, SystemScope) {
    let env = Environment::new(Arc::new(Fixed), Arc::new(Fixed));
    #[expect(clippy::disallowed_methods, reason = "a test issues its own scopes")]
    let issuer = ScopeIssuer::root();
    let workspace = WorkspaceId::generate(&env);
    let scope = issuer.workspace(workspace, Actor::System, PermissionSet::ALL, RequestId::new("test").unwrap());
    (scope, issuer.system("a test"))
}

fn process(ledger: &Arc<Ledger>) -> PlanQuota {
    let env = Environment::new(Arc::new(Fixed), Arc::new(Fixed));
    PlanQuota::new(Arc::new(Limited), ledger.clone(), env)
}

#[derive(Debug, Clone)]
enum Act {
    Use(usize, i64),
    Hold(usize, i64),
    Release,
    EndSecond(usize),
    Kill(usize),
    LoseAnswers(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..3_usize, 1..20_i64).prop_map(|(process, amount)| Act::Use(process, amount)),
        2 => (0..3_usize, 1..20_i64).prop_map(|(process, amount)| Act::Hold(process, amount)),
        1 => Just(Act::Release),
        2 => (0..3_usize).prop_map(Act::EndSecond),
        1 => (0..3_usize).prop_map(Act::Kill),
        1 => (1..3_u8).prop_map(Act::LoseAnswers),
    ];
    prop::collection::vec(act, 1..200)
}

proptest! {
    #[test]
    fn processes_never_exceed_the_limit_and_waste_nothing_while_they_live(acts in acts()) {
        let ledger = Arc::new(Ledger::default());
        let (scope, system) = scopes();
        let mut processes: Vec<PlanQuota> = (0..3).map(|_| process(&ledger)).collect();
        let (mut used, mut held, mut troubled) = (0_i64, Vec::<(i64, Reservation)>::new(), false);
        for act in acts {
            match act {
                Act::Use(which, amount) => match now(processes[which].reserve(&scope, Meter::Runs, amount)) {
                    Ok(reservation) => {
                        reservation.commit();
                        used += amount;
                    }
                    Err(tidegate_kernel::QuotaError::Exceeded(refused)) => prop_assert!(refused.used <= LIMIT),
                    Err(tidegate_kernel::QuotaError::Store(_)) => troubled = true,
                },
                Act::Hold(which, amount) => {
                    if let Ok(reservation) = now(processes[which].reserve(&scope, Meter::Runs, amount)) {
                        held.push((amount, reservation));
                    }
                }
                Act::Release => held.clear(),
                Act::EndSecond(which) => troubled |= now(processes[which].end_second(&system)).is_err(),
                Act::Kill(which) => {
                    processes[which] = process(&ledger);
                    troubled = true;
                }
                Act::LoseAnswers(count) => {
                    *ledger.lost.lock().unwrap() = count;
                    troubled = true;
                }
            }
            let reserved: i64 = held.iter().map(|(amount, _)| amount).sum();
            prop_assert!(used + reserved <= LIMIT, "{used} used and {reserved} reserved of {LIMIT}");
            prop_assert!(ledger.granted.lock().unwrap().values().all(|granted| (0..=LIMIT).contains(granted)));
        }
        held.clear();
        *ledger.lost.lock().unwrap() = 0;
        for process in &processes {
            now(process.close(&system)).unwrap();
        }
        let granted = ledger.granted.lock().unwrap().get(&Meter::Runs).copied().unwrap_or(0);
        prop_assert!(granted >= used);
        prop_assert!(troubled || granted == used, "{granted} are granted and {used} were used");
    }
}

#[test]
fn a_meter_without_a_limit_asks_nobody() {
    let ledger = Arc::new(Ledger::default());
    let (scope, system) = scopes();
    let process = process(&ledger);
    now(process.reserve(&scope, Meter::Steps, i64::MAX)).unwrap().commit();
    now(process.close(&system)).unwrap();
    assert!(ledger.granted.lock().unwrap().is_empty());
}

#[test]
fn a_budget_grows_with_the_demand_and_shrinks_near_the_limit() {
    let period = Meter::Runs.period(Fixed.now());
    let request = |needed, wanted| GrantRequest { meter: Meter::Runs, period, needed, wanted, limit: 6_400 };
    assert_eq!(granted_units(&request(1, 1), 0), 1);
    assert_eq!(granted_units(&request(1, LARGEST), 0), 6_400 / SHARE);
    assert_eq!(granted_units(&request(1, LARGEST), 6_400 - SHARE * 3), 3);
    assert_eq!(granted_units(&request(1, LARGEST), 6_400 - SHARE + 1), 1);
    assert_eq!(granted_units(&request(1, LARGEST), 6_400), 0);
    assert_eq!(granted_units(&request(500, 500), 6_000), 0);
    assert_eq!(granted_units(&request(i64::MAX, i64::MAX), i64::MAX), 0);
}
