//! What a domain tells of itself to those who look after it: figures and receipts.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::{Home, exit, free_port, observations, pair, string};

/// Two homes of which the first has pushed five facts to the other.
fn met() -> (Home, Home) {
    let (a, b) = pair();
    a.import(&observations("sensor", 5));
    let daemon = b.serve();
    a.ok(&["sync", "b"]);
    assert_eq!(daemon.stop("TERM"), exit::OK);
    (a, b)
}

fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn both_sides_have_signed_the_same_and_each_can_show_it() {
    let (a, b) = met();
    for (home, peer) in [(&a, "b"), (&b, "a")] {
        let shown = home.json(&["receipts", peer]);
        let receipts = shown["receipts"].as_array().unwrap();
        assert_eq!(receipts.len(), 2, "{shown}");
        for receipt in receipts {
            assert_eq!(string(receipt, "peer"), peer);
            assert!(
                receipt["confirmed"] == true && receipt["valid"] == true,
                "{shown}"
            );
        }
        assert_eq!(home.json(&["receipts"]), shown);
    }
    let said = a.ok(&["receipts"]);
    assert!(said.contains("verified"), "{said}");
    assert!(
        said.ends_with("2 receipts, 2 confirmed by the other side\n"),
        "{said}"
    );
    assert_eq!(a.run(&["receipts", "nobody"]).code, exit::NOT_FOUND);
}

#[test]
fn figures_are_printed_and_served_to_monitoring_systems() {
    let (a, b) = met();
    assert!(a.ok(&["metrics"]).ends_with("# EOF\n"));
    let port = free_port();
    let at = format!("127.0.0.1:{port}");
    let daemon = b.serve_by(b.command(&["serve", "--metrics", &at]));
    a.import(&observations("pump", 3));
    a.ok(&["sync", "b"]);
    let answer = ask(port, "GET /metrics HTTP/1.1\r\nHost: b\r\n\r\n");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}", text.len())),
        "{head}"
    );
    assert!(text.ends_with("# EOF\n"));
    let received = "causality_sync_facts_total{peer=\"a\",direction=\"received\"} 3\n";
    assert!(text.contains(received), "{text}");
    let printed = b.ok(&["metrics"]);
    assert!(printed.contains(received), "{printed}");
    for (request, status) in [
        ("GET /other HTTP/1.1\r\n\r\n", "404"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = ask(port, request);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(8192 - 26));
    assert!(ask(port, &long).starts_with("HTTP/1.1 400 "));
    // Whoever says nothing keeps nobody else from being answered.
    let silent: Vec<_> = (0..7)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    assert!(ask(port, "HEAD /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 "));
    drop(silent);
    assert_eq!(daemon.stop("TERM"), exit::OK);
    let wrong = b.run(&["serve", "--metrics", "nowhere"]);
    assert_eq!(wrong.code, exit::USAGE);
}
