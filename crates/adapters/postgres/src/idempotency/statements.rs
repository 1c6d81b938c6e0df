//! The statements for the two tables of idempotency keys.

/// The statements for one owner's table. Parameters: the owner's ids, the digest of the key, then those named below.
pub(crate) struct Statements {
    /// Deletes the expired keys of the workspace or the person. Parameters: the first of the owner's ids, and the time.
    pub(super) forget: &'static str,
    /// Claims a new key: fingerprint, claimed until, kept until.
    pub(super) insert: &'static str,
    /// Reads a key and locks its row.
    pub(super) read: &'static str,
    /// Takes over an expired claim: claimed until, kept until.
    pub(super) take_over: &'static str,
    /// Stores the response: the time until which it was claimed, status, headers, body.
    pub(super) finish: &'static str,
    /// Gives up a claim: the time until which it was claimed.
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
