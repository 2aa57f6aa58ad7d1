//! The command `receipts`: what this domain and its peers have signed for each other about how far exchanges led.

use causality_fact::{ConvergenceReceipt, KeyLog};
use causality_node::PeerConfig;
use data_encoding::HEXLOWER;
use tokio::sync::mpsc;

use crate::exit::{ExitCode, Failure};
use crate::handler::{Context, done};
use crate::name;
use crate::output::table;
use crate::protocol::{ReceiptItem, ReceiptsSummary, Reply, Summary};
use crate::text::{count, short};
use crate::time;

/// Shows the receipts that are kept, of one peer or of all, each verified with the keys of who signed it.
pub(crate) async fn receipts(
    context: &Context,
    peer: Option<String>,
    replies: &mpsc::Sender<Reply>,
) -> Result<(), Failure> {
    let peers: Vec<PeerConfig> = {
        let known = context.peers().await;
        match peer {
            Some(said) => vec![name::peer(&known, &said)?.clone().into()],
            None => known.iter().cloned().map(PeerConfig::from).collect(),
        }
    };
    let own = context.node.domain();
    let own_keys = context.node.key_log(own).await?;
    let mut receipts = Vec::new();
    for peer in peers {
        let keys = context.node.key_log(peer.domain).await?;
        let kept = context.node.receipts(peer.domain).await?;
        for receipt in &kept {
            let is_own = receipt.signer == own;
            let keys = if is_own { &own_keys } else { &keys };
            let signer = match is_own {
                true => context.config.name.clone(),
                false => peer.name.clone(),
            };
            receipts.push(ReceiptItem {
                peer: peer.name.clone(),
                signer,
                signer_id: receipt.signer.to_string(),
                signed: time::format(i64::try_from(receipt.hlc.millis()).unwrap_or(i64::MAX)),
                scope: HEXLOWER.encode(&receipt.scope),
                signer_holds: HEXLOWER.encode(&receipt.frontiers.signer),
                peer_holds: HEXLOWER.encode(&receipt.frontiers.peer),
                confirmed: kept.iter().any(|other| receipt.agrees_with(other)),
                valid: is_valid(keys.as_ref(), receipt),
            });
        }
    }
    let forged = receipts.iter().filter(|receipt| !receipt.valid).count() as u64;
    done(replies, Summary::Receipts(ReceiptsSummary { receipts })).await?;
    if forged > 0 {
        let forged = count(forged, "receipt");
        let said = format!("the store is damaged: {forged} not signed by whom it names");
        return Err(Failure::new(ExitCode::Integrity, said)
            .advise("`causality store check` reads the rest of it"));
    }
    Ok(())
}

fn is_valid(keys: Option<&KeyLog>, receipt: &ConvergenceReceipt) -> bool {
    keys.is_some_and(|keys| keys.verify_convergence_receipt(receipt.clone()).is_ok())
}

impl ReceiptsSummary {
    /// The receipts for people.
    pub(crate) fn text(&self) -> String {
        let header = [
            "SIGNED",
            "BY",
            "WITH",
            "LOGS",
            "SIGNER HOLDS",
            "PEER HOLDS",
            "CONFIRMED",
            "SIGNATURE",
        ];
        let rows = self.receipts.iter().map(ReceiptItem::cells);
        let all = count(self.receipts.len() as u64, "receipt");
        let confirmed = self.receipts.iter().filter(|receipt| receipt.confirmed);
        let confirmed = confirmed.count();
        table(Some(&header), rows) + &format!("{all}, {confirmed} confirmed by the other side\n")
    }
}

impl ReceiptItem {
    fn cells(&self) -> Vec<String> {
        vec![
            self.signed.clone(),
            self.signer.clone(),
            self.peer.clone(),
            short(&self.scope),
            short(&self.signer_holds),
            short(&self.peer_holds),
            if self.confirmed { "yes" } else { "-" }.to_owned(),
            if self.valid { "verified" } else { "FORGED" }.to_owned(),
        ]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use causality_fact::{DomainId, Frontiers, Hlc, KeyId};

    pub(crate) fn receipts() -> Summary {
        let text = || "x".to_owned();
        Summary::Receipts(ReceiptsSummary {
            receipts: vec![ReceiptItem {
                peer: text(),
                signer: text(),
                signer_id: text(),
                signed: text(),
                scope: text(),
                signer_holds: text(),
                peer_holds: text(),
                confirmed: true,
                valid: true,
            }],
        })
    }

    #[tokio::test]
    async fn a_receipt_that_was_not_signed_by_whom_it_names_is_not_valid() {
        let (node, _store) = crate::tests::node().await;
        let own = node.domain();
        let receipt = ConvergenceReceipt {
            signer: own,
            peer: DomainId::new([7; 32]),
            scope: [1; 16],
            frontiers: Frontiers {
                signer: [2; 32],
                peer: [3; 32],
            },
            hlc: Hlc::from_millis(1),
            previous: [0; 32],
            epoch: 0,
            key: KeyId::new([0; 16]),
            signature: [9; 64],
        };
        let keys = node.key_log(own).await.unwrap();
        assert!(!is_valid(keys.as_ref(), &receipt));
        assert!(!is_valid(None, &receipt));
    }
}
