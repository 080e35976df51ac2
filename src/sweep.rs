//! What the server does by itself: takes up what a crash interrupted, removes expired uploads and bytes
//! that no record claims.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::telemetry::chain;
use crate::uploads::Refusal;
use crate::words::counted;

/// How often it looks.
const EVERY: Duration = Duration::from_mins(1);
/// Nothing expires earlier after a start: clients that could not reach the server meanwhile get the
/// chance to go on.
const GRACE: Duration = Duration::from_hours(1);

/// How often, in sweeps, the bytes are looked through: that takes a glance at every file.
const UNCLAIMED_EVERY: u32 = 60;

/// Sweeps until `stop`.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count: u32 = 0; // the first comes at once, too early for anything to expire
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        complain(&app).await;
        report(left_over(&app).await);
        if count > 0 {
            report(expired(&app).await);
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(UNCLAIMED_EVERY) {
            report(unclaimed(&app).await);
        }
    }
}

fn report(step: Result<(), Refusal>) {
    if let Err(error) = step {
        let error = chain(&error);
        tracing::error!(%error, "a step of a sweep failed; the next sweep tries again");
    }
}

/// Says so while uploads are refused for want of room, or of a disk.
async fn complain(app: &App) {
    if let Err(unready) = app.uploads.check().await {
        let (error, folder) = (chain(&unready), app.config.data_dir.display());
        tracing::error!(error, %folder, "no uploads are taken");
    }
}

/// Takes up what an earlier run could not end: files to finish, thumbnails to make.
async fn left_over(app: &App) -> Result<(), Refusal> {
    app.uploads.compare_suspects().await?;
    match app.uploads.resume_finalizing().await? {
        0 => {}
        count => tracing::info!("finished {} that a crash had interrupted", counted(count, "file")),
    }
    app.uploads.draw_left_over().await
}

/// One whole sweep. Repeating it is harmless.
pub async fn once(app: &App) -> Result<(), Refusal> {
    left_over(app).await?;
    expired(app).await?;
    unclaimed(app).await
}

async fn expired(app: &App) -> Result<(), Refusal> {
    if app.clock.uptime() < GRACE {
        return Ok(());
    }
    match app.uploads.expire_idle().await? {
        0 => {}
        count => tracing::info!("expired {}", counted(count, "idle upload")),
    }
    if let Some(ttl) = app.config.unattached_ttl {
        match app.uploads.remove_unattached(ttl).await? {
            0 => {}
            count => tracing::info!("removed {} that no message shows", counted(count, "file")),
        }
    }
    Ok(())
}

async fn unclaimed(app: &App) -> Result<(), Refusal> {
    if app.clock.uptime() < GRACE {
        return Ok(());
    }
    match app.uploads.delete_unclaimed(app.config.unclaimed_age()).await? {
        0 => {}
        count => tracing::info!("deleted {} that no record claims", counted(count, "blob")),
    }
    Ok(())
}
