//! A home: the directory of one domain, with its keys, its store and whom it knows.
//!
//! `keys` (0600), `config.toml`, `peers.toml`, `store.redb`; a daemon adds `control`, and whoever runs it may write
//! `policy.toml`. Small files are replaced as a whole: written beside, synced, renamed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use causality_envelope::{DomainKeys, KeyFileError};
use causality_fact::DomainId;
use causality_node::PeerConfig;
use causality_store::{RedbConfig, RedbStore};
use etcetera::BaseStrategy as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::exit::{BRING_BACK, ExitCode, Failure};
use crate::name;
use crate::plain::word;

/// Where a home listens unless told otherwise: everywhere, on the program's own port.
pub(crate) const LISTEN: &str = "0.0.0.0:4770";

const KEYS: &str = "keys";
const CONFIG: &str = "config.toml";
const PEERS: &str = "peers.toml";
const POLICY: &str = "policy.toml";
const STORE: &str = "store.redb";
const SOCKET: &str = "control";

/// The largest configuration file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A directory that is, or will be, a domain's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    dir: PathBuf,
}

/// What a domain calls itself and where it listens: `config.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// What the domain calls itself.
    pub(crate) name: String,
    /// `host:port`.
    pub(crate) listen: String,
}

/// A domain that is known: a `[[peer]]` of `peers.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// Its name here.
    pub(crate) name: String,
    #[serde(serialize_with = "id_to_text", deserialize_with = "id_from_text")]
    pub(crate) id: DomainId,
    #[serde(default)]
    pub(crate) addresses: Vec<String>,
    /// Compartments whose logs it may have.
    #[serde(default)]
    pub(crate) send: Vec<String>,
    /// Compartments whose logs are taken from it.
    #[serde(default)]
    pub(crate) receive: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeersFile {
    #[serde(default)]
    peer: Vec<Peer>,
}

impl Home {
    /// The home in a directory; without one, that of the platform.
    pub(crate) fn at(dir: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(dir) = dir {
            return Ok(Self { dir });
        }
        let unknown = |_| Failure::usage("the home directory is unknown; name one with --home DIR");
        let base = etcetera::choose_base_strategy().map_err(unknown)?;
        Ok(Self {
            dir: base.data_dir().join("causality"),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The option by which a command means this home, with a blank before it; nothing for the one that is meant without.
    pub(crate) fn option(&self) -> String {
        if Self::at(None).is_ok_and(|home| home == *self) {
            return String::new();
        }
        let dir = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        format!(" --home {}", word(&dir.to_string_lossy()))
    }

    /// Sets up a new home: keys, configuration, an empty store. Nothing is left of it when that fails.
    pub(crate) fn init(&self, keys: &DomainKeys, config: &Config) -> Result<(), Failure> {
        if self.is_set_up() {
            return Err(Failure::new(
                ExitCode::Contradiction,
                format_args!("{} is a home already", self.dir.display()),
            )
            .advise(
                "nothing was changed; for another domain name another directory with --home DIR",
            ));
        }
        if fs::read_dir(&self.dir).is_ok_and(|mut entries| entries.next().is_some()) {
            let dir = self.dir.display();
            return Err(
                Failure::usage(format_args!("{dir} is not empty and not a home"))
                    .advise("name a new directory with --home DIR"),
            );
        }
        let is_new = !self.dir.exists();
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&self.dir);
        made.map_err(|error| self.failed(&self.dir, &error))?;
        let filled = self.fill(keys, config);
        if filled.is_err() {
            // What is there is of no use to anybody. The first error is the one to tell.
            for file in [CONFIG, STORE, KEYS] {
                let _ = fs::remove_file(self.dir.join(file));
            }
            if is_new {
                let _ = fs::remove_dir(&self.dir);
            }
        }
        filled
    }

    fn fill(&self, keys: &DomainKeys, config: &Config) -> Result<(), Failure> {
        self.write(CONFIG, toml_of(config)?.as_bytes(), 0o644)?;
        drop(self.create_store()?);
        // The keys come last: with them the home is set up.
        self.write(KEYS, &keys.to_file(), 0o600)
    }

    fn is_set_up(&self) -> bool {
        self.dir.join(KEYS).exists()
    }

    /// The domain's secrets.
    pub(crate) fn keys(&self) -> Result<DomainKeys, Failure> {
        let path = self.dir.join(KEYS);
        let bytes = self.read(&path)?.ok_or_else(|| {
            if self.dir.join(CONFIG).exists() || self.store_path().exists() {
                let what = format!("the keys of this home are missing: {}", path.display());
                return Failure::not_found(what)
                    .advise("put back the copy of the file that was made after `causality init`");
            }
            Failure::not_found(format_args!("there is no domain in {}", self.dir.display()))
                .advise("set one up with `causality init --name NAME`, or name its directory with --home DIR")
        })?;
        warn_if_shared(&path);
        DomainKeys::from_file(&bytes).map_err(|error| {
            let code = match error {
                KeyFileError::NewerVersion { .. } => ExitCode::Other,
                _ => ExitCode::Integrity,
            };
            Failure::new(code, format_args!("{}: {error}", path.display()))
                .advise("put back the copy of the file that was made after `causality init`")
        })
    }

    /// What the domain calls itself and where it listens.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let path = self.dir.join(CONFIG);
        let missing = || {
            Failure::not_found(format_args!("{} is missing", path.display())).advise(format_args!(
                "write it again, with two lines: name = \"NAME\", what this domain calls itself, and listen = {LISTEN:?}, \
                 or where else it listens"
            ))
        };
        let config: Config = parse(&path, &self.read(&path)?.ok_or_else(missing)?)?;
        let wrong = |failure: Failure| {
            Failure::new(
                ExitCode::Usage,
                format_args!("{}: {}", path.display(), failure.message),
            )
        };
        name::check_domain_name(&config.name).map_err(wrong)?;
        name::check_address(&config.listen).map_err(wrong)?;
        Ok(config)
    }

    /// Who is known, in the order in which they were added.
    pub(crate) fn peers(&self) -> Result<Vec<Peer>, Failure> {
        let path = self.dir.join(PEERS);
        let file = self
            .read(&path)?
            .map(|bytes| parse::<PeersFile>(&path, &bytes))
            .transpose()?;
        Ok(file.unwrap_or_default().peer)
    }

    /// Replaces who is known.
    pub(crate) fn set_peers(&self, peer: Vec<Peer>) -> Result<(), Failure> {
        self.write(PEERS, toml_of(&PeersFile { peer })?.as_bytes(), 0o600)
    }

    /// The policy file, if there is one.
    pub(crate) fn policy(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.read(&self.policy_path())
    }

    /// The path of the policy file.
    pub(crate) fn policy_path(&self) -> PathBuf {
        self.dir.join(POLICY)
    }

    /// The path of the store's file.
    pub(crate) fn store_path(&self) -> PathBuf {
        self.dir.join(STORE)
    }

    /// The path of the daemon's control socket.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// The path of the file with the secrets.
    pub(crate) fn keys_path(&self) -> PathBuf {
        self.dir.join(KEYS)
    }

    /// Makes an empty store where there is none. Blocks.
    pub(crate) fn create_store(&self) -> Result<RedbStore, Failure> {
        let path = self.store_path();
        if path.exists() {
            let what = format!("there is a store already: {}", path.display());
            return Err(Failure::new(ExitCode::Contradiction, what).advise("nothing was changed"));
        }
        let executor = Arc::new(causality_store::inline);
        Ok(RedbStore::open(RedbConfig::new(path), executor)?)
    }

    /// Opens the store that there is: one that has gone must not become an empty one unnoticed. Blocks.
    pub(crate) fn open_store(
        &self,
        executor: Arc<dyn causality_store::Executor>,
    ) -> Result<RedbStore, Failure> {
        let path = self.store_path();
        if !path.exists() {
            let what = format!("the store of this home is missing: {}", path.display());
            return Err(Failure::not_found(what).advise(
                "bring back a backup with `causality store restore FILE`, or, if there is none, begin with an empty \
                 one: `causality store create`",
            ));
        }
        RedbStore::open(RedbConfig::new(path), executor).map_err(|error| {
            let failure = Failure::from(error);
            match failure.code {
                ExitCode::Integrity => failure.advise(BRING_BACK),
                _ => failure,
            }
        })
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Failure> {
        let failed = |error: &io::Error| self.failed(path, error);
        let length = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if length > FILE_BYTES_MAX {
            let what = format!(
                "{} has {length} bytes, the limit is {FILE_BYTES_MAX}",
                path.display()
            );
            return Err(Failure::new(ExitCode::Integrity, what));
        }
        fs::read(path).map(Some).map_err(|error| failed(&error))
    }

    /// Replaces a file: what is there is the old or the new one as a whole, also after a crash.
    fn write(&self, file: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let path = self.dir.join(file);
        replace(&path, bytes, mode).map_err(|error| self.failed(&path, &error))
    }

    fn failed(&self, path: &Path, error: &io::Error) -> Failure {
        Failure::io(path.display(), error)
    }
}

impl From<Peer> for PeerConfig {
    fn from(peer: Peer) -> Self {
        let Peer {
            name,
            id: domain,
            addresses,
            send,
            receive,
        } = peer;
        Self {
            domain,
            name,
            addresses,
            send,
            receive,
        }
    }
}

/// Writes beside the file, syncs, renames, and syncs the directory. Nothing stays beside it when that fails.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let written = write_new(&beside, bytes, mode).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn warn_if_shared(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        let path = path.display();
        eprintln!(
            "warning: others can read {path}, which holds this domain's secrets; run: chmod 600 {path}"
        );
    }
}

fn toml_of(value: &impl Serialize) -> Result<String, Failure> {
    toml::to_string(value).map_err(|error| Failure::new(ExitCode::Other, error))
}

fn parse<T: for<'a> Deserialize<'a>>(path: &Path, bytes: &[u8]) -> Result<T, Failure> {
    let wrong = |error: &str| {
        Failure::new(
            ExitCode::Usage,
            format_args!("{}: {}", path.display(), error.trim_end()),
        )
    };
    let text = str::from_utf8(bytes).map_err(|error| wrong(&error.to_string()))?;
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        wrong(&format!("line {line}: {}", error.message()))
    })
}

fn id_to_text<S: Serializer>(id: &DomainId, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

fn id_from_text<'de, D: Deserializer<'de>>(from: D) -> Result<DomainId, D::Error> {
    let text = String::deserialize(from)?;
    DomainId::from_str(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causality_node::Entropy as _;
    use tempfile::TempDir;

    fn keys() -> DomainKeys {
        let mut random = causality_node::SystemEntropy.generator();
        DomainKeys::generate(&mut random, 0..i64::MAX).unwrap()
    }

    fn config() -> Config {
        Config {
            name: "a".into(),
            listen: LISTEN.into(),
        }
    }

    fn set_up() -> (TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home {
            dir: folder.path().join("home"),
        };
        home.init(&keys(), &config()).unwrap();
        (folder, home)
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_new_home_has_keys_for_its_owner_only() {
        let (_folder, home) = set_up();
        assert_eq!(home.config(), Ok(config()));
        assert_eq!(home.peers(), Ok(Vec::new()));
        assert_eq!(
            (mode_of(home.dir()), mode_of(&home.keys_path())),
            (0o700, 0o600)
        );
        assert!(home.keys().is_ok());
    }

    #[test]
    fn a_command_names_every_home_but_the_one_that_it_takes_without() {
        let home = Home::at(Some("some where".into())).unwrap();
        let here = std::env::current_dir().unwrap();
        let dir = here.join("some where");
        assert_eq!(home.option(), format!(" --home '{}'", dir.display()));
        if let Ok(home) = Home::at(None) {
            assert_eq!(home.option(), "");
        }
    }

    #[test]
    fn a_home_is_set_up_once() {
        let (_folder, home) = set_up();
        let before = fs::read(home.keys_path()).unwrap();
        assert_eq!(
            home.init(&keys(), &config()).unwrap_err().code,
            ExitCode::Contradiction
        );
        assert_eq!(fs::read(home.keys_path()).unwrap(), before);
    }

    #[test]
    fn a_directory_with_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter"), "dear").unwrap();
        let home = Home {
            dir: folder.path().to_owned(),
        };
        assert_eq!(
            home.init(&keys(), &config()).unwrap_err().code,
            ExitCode::Usage
        );
        assert_eq!(home.keys().unwrap_err().code, ExitCode::NotFound);
    }

    #[test]
    fn keys_that_have_gone_are_missed() {
        let (_folder, home) = set_up();
        fs::remove_file(home.keys_path()).unwrap();
        let missing = home.keys().unwrap_err();
        assert_eq!(missing.code, ExitCode::NotFound);
        assert!(missing.message.contains("are missing"), "{missing:?}");
    }

    #[test]
    fn a_store_that_has_gone_is_missed_and_made_only_on_request() {
        let (_folder, home) = set_up();
        let open = || home.open_store(Arc::new(causality_store::inline));
        assert!(open().is_ok());
        let there = home.create_store().unwrap_err();
        assert_eq!(there.code, ExitCode::Contradiction);
        fs::remove_file(home.store_path()).unwrap();
        let missing = open().unwrap_err();
        assert_eq!(missing.code, ExitCode::NotFound);
        assert!(!home.store_path().exists());
        drop(home.create_store().unwrap());
        assert!(open().is_ok());
    }

    #[test]
    fn peers_survive_their_file() {
        let (_folder, home) = set_up();
        let peer = Peer {
            name: "b".into(),
            id: DomainId::new([7; 32]),
            addresses: vec!["[::1]:1".into()],
            send: vec!["public".into()],
            receive: Vec::new(),
        };
        home.set_peers(vec![peer.clone()]).unwrap();
        assert_eq!(home.peers(), Ok(vec![peer]));
        assert_eq!(mode_of(&home.dir().join(PEERS)), 0o600);
    }

    #[test]
    fn a_configuration_that_has_gone_is_missed_with_what_to_write() {
        let (_folder, home) = set_up();
        fs::remove_file(home.dir().join(CONFIG)).unwrap();
        let missing = home.config().unwrap_err();
        assert_eq!(missing.code, ExitCode::NotFound);
        for said in [CONFIG, "name = ", "listen = \"0.0.0.0:4770\""] {
            assert!(missing.message.contains(said), "{missing:?}");
        }
    }

    #[test]
    fn nothing_stays_of_a_file_that_cannot_take_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(replace(&taken, b"new", 0o600).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_are_not_understood_say_where() {
        let (_folder, home) = set_up();
        for (file, text) in [
            (CONFIG, "name = 7"),
            (CONFIG, "name = \"a b\"\nlisten = \"a:1\""),
            (PEERS, "[[peer]]\nname = \"b\""),
        ] {
            fs::write(home.dir().join(file), text).unwrap();
            let failure = home.config().and(home.peers().map(drop)).unwrap_err();
            assert!(failure.message.contains(file), "{failure:?}");
            assert_eq!(failure.code, ExitCode::Usage);
            home.write(CONFIG, toml_of(&config()).unwrap().as_bytes(), 0o644)
                .unwrap();
        }
        let large = "#".repeat(usize::try_from(FILE_BYTES_MAX).unwrap());
        fs::write(home.dir().join(PEERS), &large).unwrap();
        assert_eq!(home.peers(), Ok(Vec::new()));
        fs::write(home.dir().join(PEERS), large + "#").unwrap();
        assert_eq!(home.peers().unwrap_err().code, ExitCode::Integrity);
    }
}
