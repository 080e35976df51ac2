//! Decides which requests are admitted at once, which wait, and which are refused. Knows no HTTP, and no time-outs of
//! connections.
//!
//! Users are counted by their id, everybody else by address. What costs a client bytes is limited by concurrency, never
//! by rate. A request over a limit waits, in order of arrival. It is refused only if it would wait too long, because
//! most clients never repeat a refused chunk (protocol, section 7).

mod address;
mod rate;
mod permits;

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

pub use address::{Address, forwarded};
pub use permits::{Permit, Permits, QueueFull};
use rate::Rate;

use crate::ids::UserId;

/// Maximum time that a request waits for a permit. Known clients wait 10 s for a reply.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Number of lookups of a user, and of errors to an address, that are answered per second without delay. A burst may
/// have twice as many.
const FREE_PER_SECOND: u32 = 200;
/// Number of tokens with a wrong signature that are answered to an address without delay, at once and per minute.
const BAD_TOKENS: u32 = 20;

/// Limits on what one user and one address may use at the same time.
#[derive(Clone, Debug)]
pub struct AdmissionLimits {
    /// Maximum number of a user's requests that are handled at once; 0 means no limit.
    pub per_user: usize,
    /// Maximum number of connections per address; 0 means no limit.
    pub per_address: usize,
    /// Networks without limits, because an address there stands for many clients or for this machine.
    pub uncounted: Vec<IpNet>,
}

/// What requests wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The number of a user's requests that are handled at once.
    User,
    /// The number of requests of an address that are handled at once, behind a trusted proxy.
    Address,
    /// The rate of a user's lookups.
    Lookup,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::User, Self::Address, Self::Lookup];

    /// Its name in logs, metrics and replies.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
            Self::Lookup => "lookup",
        }
    }
}

/// What there are too many of.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "too many requests of this user at once",
            Self::Address => "too many requests from this address at once",
            Self::Lookup => "too many status and list requests of this user",
        })
    }
}

/// The request would have to wait too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{limit}; try again in {retry_secs} s")]
pub struct TooMany {
    /// What it would wait for.
    pub limit: Limit,
    /// Number of seconds after which a retry may succeed.
    pub retry_secs: u32,
}

impl TooMany {
    fn after(limit: Limit, wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { limit, retry_secs: u32::try_from(secs).unwrap_or(u32::MAX).max(1) }
    }
}

/// The limits on users and addresses, and what each one uses.
pub struct Admission {
    uncounted: Vec<IpNet>,
    lookups: Rate<UserId>,
    refusals: Rate<Address>,
    bad_tokens: Rate<Address>,
    users: Permits<UserId>,
    addresses: Permits<Address>,
}

impl Admission {
    /// Creates limits for a server with this many connections in total. A user's requests, including waiting ones, take
    /// at most a quarter of the connections; so do the waiting requests of an address.
    pub fn new(limits: &AdmissionLimits, connections: usize) -> Self {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let waiting = connections / 4;
        Self {
            uncounted: limits.uncounted.clone(),
            lookups: Rate::new(FREE_PER_SECOND, second, 2 * FREE_PER_SECOND),
            refusals: Rate::new(FREE_PER_SECOND, second, 2 * FREE_PER_SECOND),
            bad_tokens: Rate::new(BAD_TOKENS, minute, BAD_TOKENS),
            users: Permits::new(limits.per_user, waiting),
            addresses: Permits::new(limits.per_address, limits.per_address.saturating_add(waiting)),
        }
    }

    /// Returns the address or IPv6 /64 that limits are counted by, or `None` if the address has no limits.
    pub fn counted(&self, ip: std::net::IpAddr) -> Option<Address> {
        let ip = ip.to_canonical();
        (!self.uncounted.iter().any(|net| net.contains(&ip))).then(|| Address::new(ip))
    }

    /// Limits the connections of each address; behind a trusted proxy, its requests.
    pub fn addresses(&self) -> &Permits<Address> {
        &self.addresses
    }

    /// Admits a request of a user, and waits for a permit if necessary. The request counts until the permit is dropped.
    pub async fn user(&self, user: UserId) -> Result<Permit<UserId>, TooMany> {
        in_time(Limit::User, self.users.enter(user)).await
    }

    /// Admits a lookup of a user, and waits until the user's rate allows it.
    pub async fn lookup(&self, user: UserId) -> Result<(), TooMany> {
        let wait = self.lookups.take(user, PATIENCE);
        let wait = wait.map_err(|wait| TooMany::after(Limit::Lookup, wait))?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Returns how long to delay an error to this address; at most [`PATIENCE`]. `guessed`: its token has a wrong
    /// signature. Such errors are delayed much earlier. Valid tokens from the same address never wait, because many users
    /// may share it.
    pub fn refusal(&self, address: Address, guessed: bool) -> Duration {
        let take = |rate: &Rate<Address>| rate.take(address, PATIENCE).unwrap_or(PATIENCE);
        let wait = take(&self.refusals);
        if guessed { wait.max(take(&self.bad_tokens)) } else { wait }
    }

    /// Admits a request that a trusted proxy forwarded from this address; it counts like a connection.
    pub async fn proxied(&self, address: Address) -> Result<Permit<Address>, TooMany> {
        in_time(Limit::Address, self.addresses.enter(address)).await
    }
}

/// Waits for a permit, but not for too long.
async fn in_time<T>(
    limit: Limit,
    permit: impl Future<Output = Result<T, QueueFull>>,
) -> Result<T, TooMany> {
    match tokio::time::timeout(PATIENCE, permit).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(TooMany::after(limit, PATIENCE)),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;
    use crate::config::{Config, Settings};

    fn admission(per_user: usize) -> Admission {
        let uncounted = vec!["127.0.0.0/8".parse().unwrap()];
        Admission::new(&AdmissionLimits { per_user, per_address: 1, uncounted }, 1000)
    }

    fn address(text: &str) -> Address {
        Address::new(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn by_default_a_users_uploads_never_wait_however_many_come_each_second() {
        let config = Config::new(Settings::default()).unwrap();
        let admission = Admission::new(&config.admission, config.max_connections);
        let begun = Instant::now();
        for _ in 0..10_000 {
            let eight = join_all((0..8).map(|_| admission.user(UserId::from(1)))).await;
            assert!(eight.iter().all(Result::is_ok));
        }
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn lookups_over_a_users_rate_wait_in_order_and_none_is_lost() {
        let admission = admission(0);
        let begun = Instant::now();
        let passed = std::sync::Mutex::new(Vec::new());
        let lookups = (0..500).map(async |number| {
            admission.lookup(UserId::from(1)).await.unwrap();
            passed.lock().unwrap().push(number);
        });
        join_all(lookups).await;
        assert_eq!(passed.into_inner().unwrap(), (0..500).collect::<Vec<_>>());
        let took = begun.elapsed().as_millis();
        assert!((500..510).contains(&took), "400 at once, 100 more in half a second: {took} ms");
        admission.lookup(UserId::from(2)).await.unwrap();
        assert_eq!(begun.elapsed().as_millis(), took, "another user does not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_would_wait_too_long_is_refused_at_once() {
        let admission = admission(0);
        let begun = Instant::now();
        let results = join_all((0..2010).map(|_| admission.lookup(UserId::from(1)))).await;
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(
            refused,
            [TooMany { limit: Limit::Lookup, retry_secs: 9 }; 10],
            "400 at once, 1600 in 8 s"
        );
        assert_eq!(begun.elapsed().as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn errors_over_an_addresss_rate_are_delayed_but_never_for_long() {
        let admission = admission(0);
        let held: Vec<_> =
            (0..3000).map(|_| admission.refusal(address("192.0.2.1"), false)).collect();
        assert_eq!(held[399], Duration::ZERO);
        assert_eq!(held[599], Duration::from_secs(1));
        assert_eq!(held[2999], PATIENCE);
        assert_eq!(admission.refusal(address("192.0.2.2"), false), Duration::ZERO);
        tokio::time::advance(PATIENCE + Duration::from_secs(2)).await;
        assert_eq!(
            admission.refusal(address("192.0.2.1"), false),
            Duration::ZERO,
            "the rate has recovered"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_users_other_requests_but_not_for_ever() {
        let admission = admission(1);
        let first = admission.user(UserId::from(1)).await.unwrap();
        admission.user(UserId::from(2)).await.unwrap();
        assert!(admission.user(UserId::from(1)).await.is_err());
        drop(first);
        admission.user(UserId::from(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_requests_of_one_proxied_client_take_at_most_a_quarter_of_all_connections() {
        let admission = admission(0);
        let client = address("192.0.2.1");
        let _turn = admission.proxied(client).await.unwrap();
        let mut waiting: Vec<_> = (0..250).map(|_| Box::pin(admission.proxied(client))).collect();
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        let one_more = admission.proxied(client).now_or_never();
        assert!(one_more.expect("at once").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_to_bad_tokens_are_delayed_after_twenty_and_other_errors_are_not() {
        let admission = admission(0);
        let guesser = address("192.0.2.1");
        for _ in 0..20 {
            assert_eq!(admission.refusal(guesser, true), Duration::ZERO);
        }
        assert_eq!(admission.refusal(guesser, true), Duration::from_secs(3));
        assert_eq!(admission.refusal(guesser, true), Duration::from_secs(6));
        assert_eq!(admission.refusal(guesser, true), PATIENCE);
        assert_eq!(admission.refusal(guesser, false), Duration::ZERO);
        assert_eq!(admission.refusal(address("192.0.2.2"), true), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(admission.refusal(guesser, true), Duration::ZERO);
    }

    #[test]
    fn addresses_of_uncounted_networks_have_no_limits() {
        let admission = admission(0);
        assert_eq!(admission.counted("::ffff:127.0.0.1".parse().unwrap()), None);
        let counted = admission.counted("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(counted, Some(address("192.0.2.1")));
    }
}
