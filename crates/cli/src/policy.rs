//! The commands `policy check`, `policy show` and `policy reload`, and reading the policy file.

mod words;

use std::collections::BTreeSet;

use causality_node::PeerConfig;
use causality_strategy::{
    Finding, Flow, Known, POLICY_BYTES_MAX, Party, PeerPolicy, Pointless, PolicyFile, Protection,
    SecurityPolicy, SyncPolicies, SyncPolicy, Terms, Window, suggest,
};
use causality_sync::PeerPolicies;
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, Network, done, send};
use crate::home::{Home, Peer};
use crate::name;
use crate::protocol::{
    PeerRulesItem, PolicyCheckSummary, PolicyErrorItem, PolicyFindingItem, PolicyReloadSummary,
    PolicyShowSummary, Reply, RuleItem, Summary, VolumeItem, WindowItem,
};
use crate::text::count;
use crate::time;

/// Reads a policy file.
fn read(bytes: &[u8]) -> Result<PolicyFile, PolicyErrorItem> {
    PolicyFile::from_bytes(bytes).map_err(|wrong| PolicyErrorItem {
        line: wrong.line as u64,
        column: wrong.column as u64,
        message: wrong.error.to_string(),
        suggestion: wrong.suggestion,
    })
}

/// What the policy file of a home says: nothing without one.
pub(crate) fn read_home(home: &Home) -> Result<PolicyFile, Failure> {
    let Some(bytes) = home.policy()? else {
        return Ok(PolicyFile::default());
    };
    read(&bytes).map_err(|error| error.failure(&home.policy_path().display().to_string()))
}

/// Checks a policy file: that of the home, or another, which is the input then.
pub(crate) async fn check(
    context: &Context,
    other: Option<String>,
    input: mpsc::Receiver<Vec<u8>>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let (file, bytes) = match other {
        Some(file) => (file, Some(read_all(input).await)),
        None => {
            let path = context.home.policy_path();
            (path.display().to_string(), context.home.policy()?)
        }
    };
    let mut summary = PolicyCheckSummary {
        file,
        is_missing: bytes.is_none(),
        ..PolicyCheckSummary::default()
    };
    let failure = match bytes.map_or(Ok(PolicyFile::default()), |bytes| read(&bytes)) {
        Ok(policy) => {
            summary.rules = rule_count(&policy);
            summary.findings = findings(context, &policy).await?;
            let pointless = summary.findings.len() as u64;
            (pointless > 0).then(|| pointless_rules(&summary.file, pointless))
        }
        Err(error) => {
            let failure = error.failure(&summary.file);
            summary.error = Some(error);
            Some(failure)
        }
    };
    done(replies, Summary::PolicyChecked(summary)).await?;
    failure.map_or(Ok(()), Err)
}

/// The input, or as much of it as shows that it is too long.
async fn read_all(mut input: mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() <= POLICY_BYTES_MAX
        && let Some(bytes) = input.recv().await
    {
        all.extend(bytes);
    }
    all
}

fn pointless_rules(file: &str, rules: u64) -> Failure {
    let message = format!("{file}: {} without effect", count(rules, "rule"));
    Failure::new(ExitCode::Partial, message)
        .advise("correct what is not meant so, or take out what is not needed")
}

/// Shows the rules that apply to one peer, or to each.
pub(crate) async fn show(
    context: &Context,
    peer: Option<String>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let policy = context.policy().await?;
    let peers = context.peers().await.clone();
    let shown = match peer {
        Some(said) => vec![name::peer(&peers, &said)?.clone()],
        None => peers,
    };
    let rules = |peer: Peer| {
        let config = PeerConfig::from(peer);
        let PeerPolicies { outward, inward } =
            config.policies(&policy.policies, context.node.domain());
        PeerRulesItem {
            out: granting(&outward),
            security: restricting(&outward),
            inward: granting(&inward),
            id: config.domain.to_string(),
            name: config.name,
        }
    };
    let peers = shown.into_iter().map(rules).collect();
    let note = match read_home(&context.home) {
        Ok(read) if read == policy => None,
        Ok(_) => Some(
            "the policy file has changed since; `causality policy reload` brings it into force"
                .to_owned(),
        ),
        Err(wrong) => Some(format!(
            "{}; what is shown was read before, and is in force",
            wrong.message
        )),
    };
    if let Some(note) = note {
        send(replies, Reply::Note(note)).await?;
    }
    done(replies, Summary::PolicyShown(PolicyShowSummary { peers })).await
}

/// Reads the policy file of the home anew. A file that is wrong changes nothing, nor one with rules without effect, unless it
/// is wanted anyway: a rule that meets nobody may be one that was to keep something from somebody. Where no daemon runs, there
/// is nothing to change: whatever begins next reads the file.
pub(crate) async fn reload(
    context: &Context,
    anyway: bool,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let is_daemon = context.network == Network::Listens;
    let is_missing = context.home.policy()?.is_none();
    let policy = read_home(&context.home).map_err(|wrong| match is_daemon {
        true => wrong.advise("the policy that was in force stays in force"),
        false => wrong.advise("no daemon runs; none starts with this file"),
    })?;
    let findings = findings(context, &policy).await?;
    let rules = rule_count(&policy);
    let file = context.home.policy_path().display().to_string();
    let pointless = findings.iter().filter(|finding| finding.line.is_some());
    let pointless = pointless.count() as u64;
    for finding in findings {
        send(replies, Reply::Note(finding.message)).await?;
    }
    if is_daemon && pointless > 0 && !anyway {
        return Err(pointless_rules(&file, pointless).advise(
            "the policy that was in force stays in force; `causality policy reload --anyway` takes the file as it is",
        ));
    }
    if is_daemon {
        context.set_policy(policy).await?;
        tracing::info!(rules, "the policy was read anew");
    } else {
        let note = "no daemon runs on this home, so the policy was only checked; it counts from the next command on";
        send(replies, Reply::Note(note.to_owned())).await?;
    }
    let summary = PolicyReloadSummary {
        file,
        is_missing,
        rules,
        reloaded: is_daemon,
    };
    done(replies, Summary::PolicyReloaded(summary)).await
}

/// How many rules and strategies there are.
fn rule_count(policy: &PolicyFile) -> u64 {
    let policies = &policy.policies;
    let [out, inward] = [Flow::Out, Flow::In].map(|flow| policies.sync_policies(flow).len());
    let security = policies.security_policies().len();
    (out + inward + security + policy.strategies.len()) as u64
}

/// The rules that decide nothing, given who and what is known here.
pub(crate) async fn findings(
    context: &Context,
    policy: &PolicyFile,
) -> Result<Vec<PolicyFindingItem>, Failure> {
    let peers = context.peers().await.clone();
    let compartments = context.compartments(&peers).await?;
    Ok(findings_of(policy, &peers, &compartments))
}

fn findings_of(
    policy: &PolicyFile,
    peers: &[Peer],
    compartments: &BTreeSet<String>,
) -> Vec<PolicyFindingItem> {
    let parties: Vec<_> = peers.iter().map(party).collect();
    let compartments: Vec<_> = compartments.iter().map(String::as_str).collect();
    let known = Known {
        peers: &parties,
        compartments: &compartments,
    };
    let mut with_grants = policy.clone();
    for peer in peers {
        PeerConfig::from(peer.clone()).grant(&mut with_grants.policies);
    }
    let found = with_grants.check(&known).into_iter();
    // That a rule of the file grants what the address book does too, is nobody's mistake.
    let counts =
        |finding: &Finding| finding.line > 0 || matches!(finding.why, Pointless::Refused(_));
    let item = |finding| finding_item(finding, &policy.policies, &known);
    found.filter(counts).map(item).collect()
}

fn party(peer: &Peer) -> Party<'_> {
    Party {
        domain: peer.id,
        name: Some(&peer.name),
    }
}

fn finding_item(finding: Finding, policies: &SyncPolicies, known: &Known<'_>) -> PolicyFindingItem {
    let Finding { rule, line, why } = finding;
    let (kind, by) = match &why {
        Pointless::EmptyWindow => ("empty_window", None),
        Pointless::Covered(by) => ("covered", Some(by.clone())),
        Pointless::Refused(by) => ("refused", Some(by.clone())),
        Pointless::UnknownCompartment => ("unknown_compartment", None),
        Pointless::UnknownPeer => ("unknown_peer", None),
        Pointless::NoTrigger => ("no_trigger", None),
        Pointless::Shadowed(by) => ("shadowed", Some(by.clone())),
        Pointless::UnknownResourceType { .. } => ("unknown_resource_type", None),
        _ => ("other", None),
    };
    let near = terms_of(policies, &rule).and_then(|terms| {
        let names = known.peers.iter().filter_map(|peer| peer.name);
        match why {
            Pointless::UnknownCompartment => {
                nearest(&terms, "compartments", known.compartments.iter().copied())
            }
            Pointless::UnknownPeer => nearest(&terms, "peers", names),
            _ => None,
        }
    });
    let meant = near
        .as_ref()
        .map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
    let place = match line {
        0 => String::new(),
        line => format!("line {line}: "),
    };
    PolicyFindingItem {
        message: format!("{place}{rule:?} {why}{meant}"),
        line: (line > 0).then_some(line as u64),
        rule,
        kind: kind.to_owned(),
        by,
        suggestion: match why {
            Pointless::UnknownResourceType { meant, .. } => meant,
            _ => near,
        },
    }
}

/// Who and what the rule of a name is about.
fn terms_of<'a>(policies: &'a SyncPolicies, name: &str) -> Option<Terms<'a>> {
    let sync = [Flow::Out, Flow::In].map(|flow| policies.sync_policies(flow).iter());
    let mut sync = sync.into_iter().flatten();
    let mut security = policies.security_policies().iter();
    let sync = sync
        .find(|rule| rule.name() == name)
        .map(|rule| rule.terms());
    sync.or_else(|| {
        security
            .find(|rule| rule.name() == name)
            .map(|rule| rule.terms())
    })
}

/// What one of the entries of a list was probably meant to be.
fn nearest<'a>(
    terms: &Terms<'_>,
    key: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let entries = list(terms, key);
    entries
        .iter()
        .find_map(|entry| suggest(entry, known.clone()))
}

fn list(terms: &Terms<'_>, key: &str) -> Vec<String> {
    let found = terms.lists.iter().find(|(known, _)| *known == key);
    found
        .map(|(_, entries)| entries.clone())
        .unwrap_or_default()
}

fn granting(policy: &PeerPolicy) -> Vec<RuleItem> {
    let item = |rule: &SyncPolicy| RuleItem {
        volume: rule.volume().map(|volume| VolumeItem {
            facts: volume.facts(),
            bytes: volume.bytes(),
            seconds: volume.seconds(),
        }),
        ..rule_item(rule.name(), rule.line(), &rule.terms())
    };
    policy
        .sync_policies()
        .iter()
        .map(|rule| item(rule))
        .collect()
}

fn restricting(policy: &PeerPolicy) -> Vec<RuleItem> {
    let item = |rule: &SecurityPolicy| RuleItem {
        refuse: rule.refuses(),
        withhold: rule.withheld().map(str::to_owned).collect(),
        protection: (rule.protection() == Protection::Session).then(|| "session".to_owned()),
        ..rule_item(rule.name(), rule.line(), &rule.terms())
    };
    policy
        .security_policies()
        .iter()
        .map(|rule| item(rule))
        .collect()
}

fn rule_item(name: &str, line: usize, terms: &Terms<'_>) -> RuleItem {
    RuleItem {
        name: name.to_owned(),
        line: (line > 0).then_some(line as u64),
        compartments: list(terms, "compartments"),
        fact_types: list(terms, "fact_types"),
        resource_types: list(terms, "resource_types"),
        labels: list(terms, "labels"),
        onward: list(terms, "onward"),
        valid: window(terms.window.valid),
        known: window(terms.window.known),
        in_force: window(terms.window.in_force),
        filter: terms.filter.map(str::to_owned),
        ..RuleItem::default()
    }
}

fn window(window: Window) -> Option<WindowItem> {
    let Window { from, until } = window;
    let item = WindowItem {
        from: from.map(time::format),
        until: until.map(time::format),
    };
    (window != Window::default()).then_some(item)
}

impl PolicyErrorItem {
    /// The failure of whoever needs the file.
    fn failure(&self, file: &str) -> Failure {
        let Self {
            line,
            column,
            message,
            suggestion,
        } = self;
        let meant = suggestion
            .as_ref()
            .map_or_else(String::new, |word| format!("; did you mean `{word}`?"));
        Failure::usage(format_args!(
            "{file}, line {line}, column {column}: {message}{meant}"
        ))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use causality_fact::DomainId;

    use super::*;

    const FILE: &str = r#"
[[out]]
name = "for the newspaper"
peers = ["press.*"]
compartments = ["public", "ops"]
fact_types = ["observation", "validation"]
resource_types = ["event"]
labels = ["reviewed", ""]
onward = ["any"]
valid = { from = 2018-01-01 }
known = { from = 2018-01-01, until = 2019-01-01 }
where = 'mag >= 2.5'
volume = { facts = 1, bytes = 2000, seconds = 60 }

[[in]]
name = "from the newspaper"
peers = ["press.*"]
compartments = ["letters"]

[[security]]
name = "internals"
peers = ["press.*"]
withhold = ["sig", "felt"]
protection = "session"

[[security]]
name = "embargo"
peers = ["press.*"]
labels = ["embargoed"]
in_force = { until = 2018-02-01T00:00:00Z }
refuse = true
"#;

    fn press(send: &[&str]) -> Peer {
        Peer {
            name: "press.herald".into(),
            id: DomainId::new([2; 32]),
            addresses: Vec::new(),
            send: send.iter().map(|name| (*name).to_owned()).collect(),
            receive: Vec::new(),
        }
    }

    fn rules() -> PeerRulesItem {
        let config = PeerConfig::from(press(&["ops"]));
        let policies = SyncPolicies::parse(FILE).unwrap();
        let PeerPolicies { outward, inward } = config.policies(&policies, DomainId::new([1; 32]));
        PeerRulesItem {
            name: config.name,
            id: "02".repeat(32),
            out: granting(&outward),
            security: restricting(&outward),
            inward: granting(&inward),
        }
    }

    /// Results to show, one of each kind.
    pub(crate) fn checked() -> Summary {
        let found = findings_in("[[out]]\nname = 'a'\npeers = ['x']\ncompartments = ['public']");
        Summary::PolicyChecked(PolicyCheckSummary {
            file: "policy.toml".into(),
            rules: 1,
            findings: found,
            ..PolicyCheckSummary::default()
        })
    }

    pub(crate) fn shown() -> Summary {
        let peers = vec![rules()];
        Summary::PolicyShown(PolicyShowSummary { peers })
    }

    pub(crate) fn reloaded() -> Summary {
        Summary::PolicyReloaded(PolicyReloadSummary {
            file: "policy.toml".into(),
            is_missing: false,
            rules: 2,
            reloaded: true,
        })
    }

    fn findings_in(text: &str) -> Vec<PolicyFindingItem> {
        let policy = PolicyFile::parse(text).unwrap();
        let compartments = ["public", "ops"].map(str::to_owned).into();
        findings_of(&policy, &[press(&["ops"])], &compartments)
    }

    #[test]
    fn the_rules_about_a_peer_are_shown_in_plain_words() {
        insta::assert_snapshot!(shown().text(), @r#"
        press.herald 0202020202020202020202020202020202020202020202020202020202020202
          is sent
            facts in ops or public of type observation or validation about event without a label or labelled reviewed, marked onward any, true from 2018-01-01T00:00:00Z on, said from 2018-01-01T00:00:00Z until 2019-01-01T00:00:00Z, where mag >= 2.5; at most 1 fact and 2000 bytes in 60 seconds ("for the newspaper", line 2)
            everything in ops (address book)
          but
            without felt, sig, and in sessions only: everything ("internals", line 20)
            not sent: facts labelled embargoed; in force until 2018-02-01T00:00:00Z ("embargo", line 26)
          gives
            everything in letters ("from the newspaper", line 15)
        "#);
    }

    #[test]
    fn rules_have_the_keys_of_their_file() {
        let PeerRulesItem {
            out,
            security,
            inward,
            ..
        } = rules();
        let all = [out, security, inward].concat();
        let lines = all.iter().map(|rule| serde_json::to_string(rule).unwrap());
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        {"name":"for the newspaper","line":2,"compartments":["ops","public"],"fact_types":["observation","validation"],"resource_types":["event"],"labels":["","reviewed"],"onward":["any"],"valid":{"from":"2018-01-01T00:00:00Z"},"known":{"from":"2018-01-01T00:00:00Z","until":"2019-01-01T00:00:00Z"},"where":"mag >= 2.5","volume":{"facts":1,"bytes":2000,"seconds":60}}
        {"name":"address book: press.herald","compartments":["ops"]}
        {"name":"internals","line":20,"withhold":["felt","sig"],"protection":"session"}
        {"name":"embargo","line":26,"labels":["embargoed"],"in_force":{"until":"2018-02-01T00:00:00Z"},"refuse":true}
        {"name":"from the newspaper","line":15,"compartments":["letters"]}
        "#);
    }

    #[test]
    fn a_rule_without_effect_is_named_with_what_was_meant() {
        let rule = |section: &str, name: &str, keys: &str| {
            format!("[[{section}]]\nname = {name:?}\n{keys}\n")
        };
        let public = "compartments = ['public']";
        let text = rule(
            "out",
            "to nobody",
            &format!("peers = ['press.heralt']\n{public}"),
        ) + &rule(
            "out",
            "of nothing",
            "peers = ['*']\ncompartments = ['pubic']",
        ) + &rule(
            "out",
            "never",
            &format!(
                "peers = ['*']\n{public}\nin_force = {{ from = 2018-01-02, until = 2018-01-01 }}"
            ),
        ) + &rule(
            "out",
            "some of ops",
            "peers = ['press.herald']\ncompartments = ['ops']\nlabels = ['a']",
        ) + &rule("in", "all", &format!("peers = ['*']\n{public}"))
            + &rule(
                "in",
                "twice",
                &format!("peers = ['press.herald']\n{public}"),
            )
            + &rule(
                "out",
                "kept",
                &format!("peers = ['*']\n{public}\nfact_types = ['custom:a']"),
            )
            + &rule(
                "security",
                "keep",
                "peers = ['*']\nrefuse = true\nfact_types = ['custom:*']",
            );
        let found = findings_in(&text);
        let messages: Vec<_> = found
            .iter()
            .map(|finding| finding.message.as_str())
            .collect();
        insta::assert_snapshot!(messages.join("\n"), @r#"
        line 1: "to nobody" never applies: no known peer is meant; did you mean `press.herald`?
        line 5: "of nothing" never applies: no known compartment is meant; did you mean `public`?
        line 9: "never" never applies: a window ends before it begins
        line 14: "some of ops" changes nothing: "address book: press.herald" grants all that it grants
        line 23: "twice" changes nothing: "all" grants all that it grants
        line 27: "kept" never applies: "keep" refuses all that it grants
        "#);
        let kinds: Vec<_> = found.iter().map(|finding| finding.kind.as_str()).collect();
        insta::assert_snapshot!(kinds.join(" "), @"unknown_peer unknown_compartment empty_window covered covered refused");
        insta::assert_json_snapshot!(found[0], @r#"
        {
          "rule": "to nobody",
          "line": 1,
          "kind": "unknown_peer",
          "suggestion": "press.herald",
          "message": "line 1: \"to nobody\" never applies: no known peer is meant; did you mean `press.herald`?"
        }
        "#);
    }

    #[test]
    fn that_the_address_book_grants_less_than_the_file_is_no_finding_and_that_it_grants_in_vain_is()
    {
        let all = "[[out]]\nname = 'all'\npeers = ['*']\ncompartments = ['*']\n";
        assert_eq!(findings_in(all), []);
        let keep = "[[security]]\nname = 'keep'\npeers = ['*']\nrefuse = true";
        let found = findings_in(&(all.to_owned() + keep));
        let rules: Vec<_> = found.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(rules, ["address book: press.herald", "all"]);
        assert_eq!(found[0].line, None);
    }

    #[test]
    fn a_file_that_is_wrong_says_where_and_what_was_meant() {
        let wrong = read(b"[[out]]\nlabel = [\"a\"]").unwrap_err();
        insta::assert_json_snapshot!(wrong, @r#"
        {
          "line": 2,
          "column": 1,
          "message": "there is no key `label` here",
          "suggestion": "labels"
        }
        "#);
        let failure = wrong.failure("policy.toml");
        assert_eq!(failure.code, ExitCode::Usage);
        insta::assert_snapshot!(failure.message, @"policy.toml, line 2, column 1: there is no key `label` here; did you mean `labels`?");
        let bytes = read("[[out]]\n# gr\u{f6}\u{df}e ".as_bytes()).unwrap_err();
        assert_eq!((bytes.line, bytes.column), (1, 1), "{bytes:?}");
        let bytes = read(b"[groups]\n# \xc3\xb6\xff").unwrap_err();
        assert_eq!((bytes.line, bytes.column), (2, 4), "{bytes:?}");
        assert!(bytes.message.contains("UTF-8"), "{bytes:?}");
    }

    #[tokio::test]
    async fn a_file_is_read_until_it_is_too_long() {
        let (input, input_out) = mpsc::channel(2);
        let feed = async {
            let chunk = vec![b'#'; POLICY_BYTES_MAX];
            while input.send(chunk.clone()).await.is_ok() {}
        };
        let (bytes, ()) = tokio::join!(read_all(input_out), feed);
        let wrong = read(&bytes).unwrap_err();
        assert!(wrong.message.contains("limit"), "{wrong:?}");
        assert_eq!(read(&bytes[..POLICY_BYTES_MAX]), Ok(PolicyFile::default()));
    }
}
