//! Requests per user, counted over all processes in Redis, also while that is away.

use service::server::Roles;
use service::shutdown::Shutdown;
use testservers::Redis;

use crate::common::app::{BOTS, TestApp};
use crate::common::client::Client;
use crate::common::eventually;

/// Asks until a request is refused; returns how many were answered.
async fn allowance(callers: &[&Client]) -> usize {
    let mut answered = 0;
    loop {
        let answer = callers[answered % callers.len()].get(BOTS).await;
        if answer.status == 429 {
            answer.problem(429, "rate_limited");
            assert_eq!((answer.header("ratelimit-remaining"), answer.header("ratelimit-limit")), ("0", "5"));
            assert_ne!(answer.header("retry-after"), "");
            return answered;
        }
        answer.ok(200);
        answered += 1;
    }
}

#[tokio::test]
async fn two_processes_count_together_unless_redis_is_away() {
    let mut redis = Redis::start();
    let url = redis.url();
    // So slow that nothing comes back while the test runs.
    let limits = [
        ("INTEGRATIONS_REDIS__URL", &*url),
        ("INTEGRATIONS_LIMITS__USER_RPS", "1"),
        ("INTEGRATIONS_LIMITS__USER_BURST", "5"),
    ];
    let app = TestApp::start_with(&limits).await;
    let second = Shutdown::default();
    let roles = Roles { api: true, worker: false };
    let address = service::server::start(&app.settings, roles, app.ground().await, &second).await.unwrap().unwrap();
    let there = |client: Client| Client { base: format!("http://{address}"), ..client };
    let is_slow = |answered: usize| (5..=8).contains(&answered);
    let state = async || app.user.get("/health/ready").await.text;
    assert!(state().await.contains("\"name\":\"cache\",\"status\":\"ok\",\"detail\":\"Redis\""), "{}", state().await);

    let answered = allowance(&[&app.user(20), &there(app.user(20))]).await;
    assert!(is_slow(answered), "{answered}");
    assert!(is_slow(allowance(&[&app.user(21)]).await), "each user has an allowance of his own");

    // Away: each process counts for itself, and nobody is refused for that.
    redis.kill();
    let answered = allowance(&[&app.user(22)]).await + allowance(&[&there(app.user(22))]).await;
    assert!((10..=16).contains(&answered), "{answered}");
    assert!(state().await.contains("each process counts for itself"));

    redis.start_again();
    eventually("they count together again", async || state().await.contains("\"detail\":\"Redis\"")).await;
    let mut user = 30;
    eventually("the allowance is shared again", async || {
        user += 1;
        is_slow(allowance(&[&app.user(user), &there(app.user(user))]).await)
    })
    .await;
    second.soft.cancel();
    second.wait().await;
}
