//! The commands `store check`, `store backup` and `store restore`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use causality_fact::DomainId;
use causality_node::{NodeError, store_owner};
use causality_store::{RedbConfig, RedbStore, StoreError};
use tokio::sync::mpsc;

use crate::exit::{BRING_BACK, ExitCode, Failure};
use crate::handler::{Context, done};
use crate::home::Home;
use crate::protocol::{CheckSummary, CopySummary, CreatedSummary, Reply, Summary};
use crate::text;

/// What the store that a backup replaces is called from then on, with a number if there is one already.
const BEFORE: &str = "store.before-restore";

/// Reads everything and compares it.
pub(crate) async fn check(context: &Context, replies: &mpsc::Sender<Reply>) -> Result<(), Failure> {
    let report = context.store.check().await?;
    let count = report.finding_count;
    let first = report.findings.first().cloned();
    let summary = CheckSummary {
        rows: report.rows,
        withheld: report.withheld,
        segments: report.segments,
        findings: report.findings,
        finding_count: count,
    };
    done(replies, Summary::StoreChecked(summary)).await?;
    match first {
        None => Ok(()),
        Some(first) => {
            let found = text::count(count, "finding");
            let said = format!("the store is damaged: {found}, the first: {first}");
            Err(Failure::new(ExitCode::Integrity, said).advise(BRING_BACK))
        }
    }
}

/// Copies the store to a new file.
pub(crate) async fn backup(
    context: &Context,
    file: &Path,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let what = format!("there is no directory {}", folder.display());
        return Err(Failure::not_found(what).advise("make it, or name a file in another one"));
    }
    context.store.backup(file).await.map_err(exists)?;
    done(
        replies,
        Summary::StoreCopied(copied(&context.home.store_path(), file, file)?),
    )
    .await
}

fn exists(error: StoreError) -> Failure {
    match error {
        StoreError::Exists { .. } => {
            Failure::usage(error).advise("a backup overwrites nothing; name a new file")
        }
        error => error.into(),
    }
}

/// Makes an empty store where there is none. Blocks.
pub(crate) fn create(home: &Home) -> Result<Summary, Failure> {
    // Whoever has no keys has no home.
    home.keys()?;
    drop(home.create_store()?);
    Ok(Summary::StoreCreated(CreatedSummary {
        store: home.store_path().display().to_string(),
    }))
}

/// Puts a backup in the place of a store that nobody has open. Blocks.
pub(crate) async fn restore(home: &Home, from: &Path) -> Result<Summary, Failure> {
    let own = home.keys()?.domain();
    File::open(from).map_err(|error| Failure::io(from.display(), &error))?;
    let store = home.store_path();
    let _open = lock(home)?;
    let beside = store.with_extension("restored");
    let before = free_name(&store);
    let failed = |error: io::Error| Failure::io(store.display(), &error);
    remove(&beside).map_err(failed)?;
    RedbStore::restore(from, &beside)?;
    if let Err(failure) = check_owner(&beside, own).await {
        remove(&beside).map_err(failed)?;
        return Err(failure);
    }
    let mut summary = copied(from, &store, &beside)?;
    if store.exists() {
        fs::rename(&store, &before).map_err(failed)?;
        summary.kept = Some(before.display().to_string());
    }
    fs::rename(&beside, &store).map_err(failed)?;
    File::open(home.dir())
        .and_then(|dir| dir.sync_all())
        .map_err(failed)?;
    Ok(Summary::StoreCopied(summary))
}

/// Refuses the copy of another domain's store.
async fn check_owner(copy: &Path, own: DomainId) -> Result<(), Failure> {
    let executor = Arc::new(causality_store::inline);
    let store = RedbStore::open(RedbConfig::new(copy), executor)?;
    let owner = store_owner(&store).await;
    store.close().await?;
    match owner? {
        Some(found) if found != own => Err(NodeError::OtherDomain { found }.into()),
        _ => Ok(()),
    }
}

/// A name beside the store that no file has: what is replaced is never replaced itself.
fn free_name(store: &Path) -> PathBuf {
    let numbered = |number: u32| match number {
        1 => store.with_file_name(format!("{BEFORE}.redb")),
        number => store.with_file_name(format!("{BEFORE}-{number}.redb")),
    };
    let mut number = 1;
    while numbered(number).exists() {
        number += 1;
    }
    numbered(number)
}

/// Keeps others from the store while it is replaced. On one that is missing, or damaged and cannot be opened, nobody
/// works.
fn lock(home: &Home) -> Result<Option<RedbStore>, Failure> {
    match home.open_store(Arc::new(causality_store::inline)) {
        Ok(store) => Ok(Some(store)),
        Err(failure) if failure.code == ExitCode::Locked => Err(failure),
        Err(_) => Ok(None),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copied(from: &Path, to: &Path, copy: &Path) -> Result<CopySummary, Failure> {
    let metadata = fs::metadata(copy).map_err(|error| Failure::io(copy.display(), &error))?;
    Ok(CopySummary {
        from: from.display().to_string(),
        to: to.display().to_string(),
        bytes: metadata.len(),
        kept: None,
    })
}
