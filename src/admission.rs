//! Who may go on at once, who waits, and who is told to come back later. Knows no HTTP and no time-out of
//! connections.
//!
//! Users are told apart by their id, everybody else by address. A request over a limit waits for its turn, in
//! order; only one that would wait too long is refused, because most clients never send a refused chunk again
//! (protocol, section 7).

mod address;
mod rate;
mod turns;

use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

pub use address::{Address, forwarded};
use rate::Rate;
pub use turns::{Full, Turn, Turns};

use crate::ids::UserId;

/// So long a request waits for its turn: within what the vendor's client waits for an answer, 10 s.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Tokens with a wrong signature that an address may send at once, and a minute.
const BAD_TOKENS: u32 = 20;

/// What one user and one address may take of the server.
#[derive(Clone, Debug)]
pub struct AdmissionLimits {
    /// Requests a second of one user, twice as many at once; 0: no limit.
    pub user_rate: u32,
    /// Requests a second without a token from one address, twice as many at once; 0: no limit.
    pub address_rate: u32,
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
    user_rate: Rate<UserId>,
    address_rate: Rate<Address>,
    bad_tokens: Rate<Address>,
    users: Turns<UserId>,
    addresses: Turns<Address>,
}

impl Admission {
    /// Nobody has taken anything. Of `connections` altogether, the requests of one user, those that wait
    /// included, take a quarter at most.
    pub fn new(limits: &AdmissionLimits, connections: usize) -> Self {
        let second = Duration::from_secs(1);
        Self {
            uncounted: limits.uncounted.clone(),
            user_rate: Rate::new(limits.user_rate, second, limits.user_rate.saturating_mul(2)),
            address_rate: Rate::new(
                limits.address_rate,
                second,
                limits.address_rate.saturating_mul(2),
            ),
            bad_tokens: Rate::new(BAD_TOKENS, Duration::from_mins(1), BAD_TOKENS),
            users: Turns::new(limits.per_user, connections / 4),
            addresses: Turns::new(limits.per_address, usize::MAX),
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

    /// A request of a user: waits for the user's turn, and until the user's rate allows it. It counts until the
    /// turn is dropped.
    pub async fn user(&self, user: UserId) -> Result<Turn<UserId>, TooMany> {
        let until = Instant::now() + PATIENCE;
        let turn = in_time(until, self.users.enter(user)).await?;
        self.user_rate.pass(user, until).await?;
        Ok(turn)
    }

    /// A request of somebody without a token.
    pub async fn stranger(&self, address: Address) -> Result<(), TooMany> {
        self.address_rate.pass(address, Instant::now() + PATIENCE).await
    }

    /// A request that a trusted proxy passed on from this address; counts like a connection.
    pub async fn proxied(&self, address: Address) -> Result<Turn<Address>, TooMany> {
        in_time(Instant::now() + PATIENCE, self.addresses.enter(address)).await
    }

    /// A token with a wrong signature came from this address. An error when that happens too often; good tokens
    /// of the same address are accepted all the same, for many users may share it.
    pub fn bad_token(&self, address: Address) -> Result<(), TooMany> {
        self.bad_tokens.take(address, Duration::ZERO).map(drop).map_err(TooMany::after)
    }
}

/// A turn, unless it takes longer than `until` to come.
async fn in_time<T>(
    until: Instant,
    turn: impl Future<Output = Result<T, Full>>,
) -> Result<T, TooMany> {
    match tokio::time::timeout_at(until, turn).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(TooMany::after(PATIENCE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(user_rate: u32, per_user: usize) -> Admission {
        let limits = AdmissionLimits {
            user_rate,
            address_rate: 10,
            per_user,
            per_address: 1,
            uncounted: vec!["127.0.0.0/8".parse().unwrap()],
        };
        Admission::new(&limits, 1000)
    }

    fn address(text: &str) -> Address {
        Address::new(text.parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn requests_over_a_users_rate_wait_in_order_and_none_is_lost() {
        let admission = admission(200, 0);
        let begun = Instant::now();
        let passed = std::sync::Mutex::new(Vec::new());
        let requests = (0..500).map(async |number| {
            let _turn = admission.user(UserId(1)).await.unwrap();
            passed.lock().unwrap().push(number);
        });
        futures_util::future::join_all(requests).await;
        assert_eq!(passed.into_inner().unwrap(), (0..500).collect::<Vec<_>>());
        let took = begun.elapsed().as_millis();
        assert!((500..510).contains(&took), "400 at once, 100 more in half a second: {took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_would_wait_too_long_is_refused_at_once() {
        let admission = admission(1, 0);
        let begun = Instant::now();
        let requests = (0..20).map(|_| admission.user(UserId(1)));
        let results = futures_util::future::join_all(requests).await;
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused, [TooMany { retry_secs: 9 }; 10], "2 at once, 8 in 8 s");
        assert_eq!(begun.elapsed().as_secs(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_users_others_to_end_but_not_for_ever() {
        let admission = admission(0, 1);
        let first = admission.user(UserId(1)).await.unwrap();
        admission.user(UserId(2)).await.unwrap();
        assert!(admission.user(UserId(1)).await.is_err());
        drop(first);
        admission.user(UserId(1)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn bad_tokens_are_refused_after_twenty_and_accepted_again_after_three_seconds() {
        let admission = admission(0, 0);
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
        let admission = admission(0, 0);
        assert_eq!(admission.counted("::ffff:127.0.0.1".parse().unwrap()), None);
        let counted = admission.counted("::ffff:192.0.2.1".parse().unwrap());
        assert_eq!(counted, Some(address("192.0.2.1")));
    }
}
