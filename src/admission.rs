//! Who may go on at once, who waits, and who is told to come back later. Knows no HTTP and no time-out of
//! connections.
//!
//! Users are told apart by their id, everybody else by address. What a client pays for with bytes is limited by
//! how much of it goes on at once, never by the second. A request over a limit waits for its turn, in order; only
//! one that would wait too long is refused, because most clients never send a refused chunk again (protocol,
//! section 7).

mod address;
mod rate;
mod turns;

use std::time::Duration;

use ipnet::IpNet;

pub use address::{Address, forwarded};
use rate::Rate;
pub use turns::{Full, Turn, Turns};

use crate::ids::UserId;

/// So long a request waits for its turn: within what the vendor's client waits for an answer, 10 s.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Lookups of a user, and refusals to an address, that are answered each second without delay; twice as many in a
/// burst.
const UNPAID_A_SECOND: u32 = 200;
/// Tokens with a wrong signature that an address may send at once, and a minute.
const BAD_TOKENS: u32 = 20;

/// What one user and one address may take of the server at once.
#[derive(Clone, Debug)]
pub struct AdmissionLimits {
    /// Requests of one user that are worked on at once; 0: no limit.
    pub per_user: usize,
    /// Connections of one address; 0: no limit.
    pub per_address: usize,
    /// Networks whose addresses stand for many clients or for this machine: not counted.
    pub uncounted: Vec<IpNet>,
}

/// A request that would wait too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests at once; come back in {retry_secs} s")]
pub struct TooMany {
    /// Seconds after which it may succeed.
    pub retry_secs: u32,
}

impl TooMany {
    fn after(wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_secs: u32::try_from(secs).unwrap_or(u32::MAX).max(1) }
    }
}

/// All limits of users and addresses, with what each has taken.
pub struct Admission {
    uncounted: Vec<IpNet>,
    lookups: Rate<UserId>,
    refusals: Rate<Address>,
    bad_tokens: Rate<Address>,
    users: Turns<UserId>,
    addresses: Turns<Address>,
}

impl Admission {
    /// Nobody has taken anything. Of `connections` altogether, the requests of one user, those that wait
    /// included, take a quarter at most; so do those of one address that wait.
    pub fn new(limits: &AdmissionLimits, connections: usize) -> Self {
        let (second, minute) = (Duration::from_secs(1), Duration::from_mins(1));
        let waiting = connections / 4;
        Self {
            uncounted: limits.uncounted.clone(),
            lookups: Rate::new(UNPAID_A_SECOND, second, 2 * UNPAID_A_SECOND),
            refusals: Rate::new(UNPAID_A_SECOND, second, 2 * UNPAID_A_SECOND),
            bad_tokens: Rate::new(BAD_TOKENS, minute, BAD_TOKENS),
            users: Turns::new(limits.per_user, waiting),
            addresses: Turns::new(limits.per_address, limits.per_address.saturating_add(waiting)),
        }
    }

    /// The address that an address counts as; `None` for those that are not counted.
    pub fn counted(&self, ip: std::net::IpAddr) -> Option<Address> {
        let ip = ip.to_canonical();
        (!self.uncounted.iter().any(|net| net.contains(&ip))).then(|| Address::new(ip))
    }

    /// The connections of each address; behind a trusted proxy, its requests.
    pub fn addresses(&self) -> &Turns<Address> {
        &self.addresses
    }

    /// A request of a user: waits for one of the user's turns. It counts until the turn is dropped.
    pub async fn user(&self, user: UserId) -> Result<Turn<UserId>, TooMany> {
        in_time(self.users.enter(user)).await
    }

    /// A request of a user that only asks for something: waits until the user's rate allows it.
    pub async fn lookup(&self, user: UserId) -> Result<(), TooMany> {
        let wait = self.lookups.take(user, PATIENCE).map_err(TooMany::after)?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// How long to hold back a refusal that goes to this address; at most [`PATIENCE`].
    pub fn refusal(&self, address: Address) -> Duration {
        self.refusals.take(address, PATIENCE).unwrap_or(PATIENCE)
    }

    /// A request that a trusted proxy passed on from this address; counts like a connection.
    pub async fn proxied(&self, address: Address) -> Result<Turn<Address>, TooMany> {
        in_time(self.addresses.enter(address)).await
    }

    /// A token with a wrong signature came from this address. An error when that happens too often; good tokens
    /// of the same address are accepted all the same, for many users may share it.
    pub fn bad_token(&self, address: Address) -> Result<(), TooMany> {
        self.bad_tokens.take(address, Duration::ZERO).map(drop).map_err(TooMany::after)
    }
}

/// A turn, unless it takes too long to come.
async fn in_time<T>(turn: impl Future<Output = Result<T, Full>>) -> Result<T, TooMany> {
    match tokio::time::timeout(PATIENCE, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(TooMany::after(PATIENCE)),
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
    async fn by_default_a_users_uploads_wait_for_nothing_however_many_come_each_second() {
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
        assert_eq!(begun.elapsed().as_millis(), took, "another user waits for nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_would_wait_too_long_is_refused_at_once() {
        let admission = admission(0);
        let begun = Instant::now();
        let results = join_all((0..2010).map(|_| admission.lookup(UserId::from(1)))).await;
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, [TooMany { retry_secs: 9 }; 10], "400 at once, 1600 in 8 s");
        assert_eq!(begun.elapsed().as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_over_an_addresss_rate_are_held_back_but_never_for_long() {
        let admission = admission(0);
        let held: Vec<_> = (0..3000).map(|_| admission.refusal(address("192.0.2.1"))).collect();
        assert_eq!(held[399], Duration::ZERO);
        assert_eq!(held[599], Duration::from_secs(1));
        assert_eq!(held[2999], PATIENCE);
        assert_eq!(admission.refusal(address("192.0.2.2")), Duration::ZERO);
        tokio::time::advance(PATIENCE + Duration::from_secs(2)).await;
        assert_eq!(admission.refusal(address("192.0.2.1")), Duration::ZERO, "it is over");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_users_others_to_end_but_not_for_ever() {
        let admission = admission(1);
        let first = admission.user(UserId::from(1)).await.unwrap();
        admission.user(UserId::from(2)).await.unwrap();
        assert!(admission.user(UserId::from(1)).await.is_err());
        drop(first);
        admission.user(UserId::from(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn requests_of_one_proxied_client_that_wait_take_a_quarter_of_all_connections_at_most() {
        let admission = admission(0);
        let client = address("192.0.2.1");
        let _turn = admission.proxied(client).await.unwrap();
        let mut waiting: Vec<_> = (0..250).map(|_| Box::pin(admission.proxied(client))).collect();
        assert!(waiting.iter_mut().all(|waiting| waiting.as_mut().now_or_never().is_none()));
        let one_more = admission.proxied(client).now_or_never();
        assert!(one_more.expect("at once").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn bad_tokens_are_refused_after_twenty_and_accepted_again_after_three_seconds() {
        let admission = admission(0);
        for _ in 0..20 {
            admission.bad_token(address("192.0.2.1")).unwrap();
        }
        let refused = admission.bad_token(address("192.0.2.1")).unwrap_err();
        assert_eq!(refused, TooMany { retry_secs: 3 });
        admission.bad_token(address("192.0.2.2")).unwrap();
        tokio::time::advance(Duration::from_secs(3)).await;
        admission.bad_token(address("192.0.2.1")).unwrap();
    }

    #[test]
    fn addresses_of_uncounted_networks_have_no_limits() {
        let admission = admission(0);
        assert_eq!(admission.counted("::ffff:127.0.0.1".parse().unwrap()), None);
        let counted = admission.counted("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(counted, Some(address("192.0.2.1")));
    }
}
