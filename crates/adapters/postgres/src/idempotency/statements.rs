//! What is said to the two tables of keys.

/// The statements of one owner's table: its ids come first, then the digest of the key, then the rest.
pub(crate) struct Statements {
    /// Takes away what is kept no longer than until a time, whoever of the workspace has it: of the owner's ids the first.
    pub(super) forget: &'static str,
    /// Claims a key that nobody has: fingerprint, claimed until, kept until.
    pub(super) insert: &'static str,
    /// Reads a key, and holds everybody else out of it.
    pub(super) read: &'static str,
    /// Takes a claim over: claimed until, kept until.
    pub(super) take_over: &'static str,
    /// Keeps the answer of the claim until a time: status, headers, body.
    pub(super) finish: &'static str,
    /// Gives up the claim until a time.
    pub(super) release: &'static str,
}

/// Keys of an actor in a workspace.
pub(super) const OF_ACTOR: Statements = Statements {
    forget: "delete from idempotency_key where workspace_id = $1 and kept_until <= $2",
    insert: "insert into idempotency_key (workspace_id, actor_id, digest, fingerprint, claimed_until, kept_until)
             values ($1, $2, $3, $4, $5, $6) on conflict (workspace_id, actor_id, digest) do nothing",
    read: "select fingerprint, claimed_until, status, headers, body from idempotency_key
           where workspace_id = $1 and actor_id = $2 and digest = $3 for update",
    take_over: "update idempotency_key set claimed_until = $4, kept_until = $5
                where workspace_id = $1 and actor_id = $2 and digest = $3",
    finish: "update idempotency_key set status = $5, headers = $6, body = $7
             where workspace_id = $1 and actor_id = $2 and digest = $3 and claimed_until = $4 and status is null",
    release: "delete from idempotency_key
              where workspace_id = $1 and actor_id = $2 and digest = $3 and claimed_until = $4 and status is null",
};

/// Keys of a person, in no workspace.
pub(super) const OF_PERSON: Statements = Statements {
    forget: "delete from person_idempotency_key where user_id = $1 and kept_until <= $2",
    insert: "insert into person_idempotency_key (user_id, digest, fingerprint, claimed_until, kept_until)
             values ($1, $2, $3, $4, $5) on conflict (user_id, digest) do nothing",
    read: "select fingerprint, claimed_until, status, headers, body from person_idempotency_key
           where user_id = $1 and digest = $2 for update",
    take_over: "update person_idempotency_key set claimed_until = $3, kept_until = $4
                where user_id = $1 and digest = $2",
    finish: "update person_idempotency_key set status = $4, headers = $5, body = $6
             where user_id = $1 and digest = $2 and claimed_until = $3 and status is null",
    release: "delete from person_idempotency_key
              where user_id = $1 and digest = $2 and claimed_until = $3 and status is null",
};
