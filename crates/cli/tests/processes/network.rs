//! A hostile or broken network between two homes, and strangers at the door.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use std::path::Path;

use crate::support::{Home, Random, exit, free_port, introduce, observations, pair};

#[test]
fn flipped_and_truncated_datagrams_change_nothing() {
    let (a, b) = (Home::new("a"), Home::new("b"));
    let relay = Relay::to(b.port());
    let address = format!("127.0.0.1:{}", relay.port);
    let ticket = b.ok(&["peer", "ticket", "--address", &address]);
    a.ok(&[
        "peer",
        "add",
        ticket.trim(),
        "--as",
        "b",
        "--send",
        "public",
    ]);
    b.add_peer(&a, &["--receive", "public"]);
    a.import(&observations("sensor", 2_000));
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    assert_eq!(b.logs(), a.logs());
    b.ok(&["fact", "verify", "--all"]);
    assert!(relay.damaged() > 0, "the relay damaged nothing");
}

#[test]
fn garbage_at_the_port_keeps_nobody_from_being_served() {
    let (a, b) = pair();
    a.import(&observations("sensor", 100));
    let _daemon = b.serve();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = Random(3);
    for _ in 0..2_000 {
        let length = random.below(1_400);
        let bytes: Vec<u8> = (0..length)
            .map(|_| u8::try_from(random.below(256)).unwrap())
            .collect();
        // A full buffer at the receiver is its right.
        let _ = socket.send_to(&bytes, ("127.0.0.1", b.port()));
    }
    a.ok(&["sync", "b"]);
    assert_eq!(b.logs(), a.logs());
}

#[test]
fn another_domain_at_the_peers_address_gets_nothing() {
    let (a, b) = pair();
    a.import(&observations("sensor", 3));
    let impostor = Home::below("c", Path::new("home"), b.port());
    impostor.add_peer(&a, &["--receive", "public"]);
    let _daemon = impostor.serve();
    a.run(&["sync", "b"]).failed(exit::DENIED);
    assert_eq!(impostor.held(), 0);
}

#[test]
fn a_stranger_is_refused_while_others_are_served_on() {
    let (a, b) = pair();
    let stranger = Home::new("stranger");
    stranger.add_peer(&b, &["--send", "public"]);
    stranger.import(&observations("junk", 10));
    a.import(&observations("sensor", 10));
    let _daemon = b.serve();
    stranger.run(&["sync", "b"]).failed(exit::DENIED);
    a.ok(&["sync", "b"]);
    stranger.run(&["sync", "b"]).failed(exit::DENIED);
    assert_eq!(b.logs(), a.logs());
}

#[test]
fn a_peer_that_comes_back_is_found_again() {
    let (a, b) = pair();
    a.import(&observations("sensor", 10));
    let _a = a.serve();
    let mut daemon = b.serve();
    a.ok(&["sync", "b"]);
    daemon.kill();
    a.import(&observations("pump", 10));
    a.run(&["sync", "b"]).failed(exit::UNREACHABLE);
    let _daemon = b.serve();
    a.ok(&["sync", "b"]);
    assert_eq!(b.logs(), a.logs());
}

#[test]
fn many_domains_send_to_one_at_the_same_time() {
    let hub = Home::new("hub");
    let spokes: Vec<Home> = (0..4)
        .map(|number| Home::new(&format!("spoke-{number}")))
        .collect();
    for spoke in &spokes {
        introduce(spoke, &hub);
        spoke.import(&observations(spoke.name(), 200));
    }
    let _daemon = hub.serve();
    std::thread::scope(|scope| {
        for spoke in &spokes {
            scope.spawn(move || spoke.ok(&["sync", "hub", "--push"]));
        }
    });
    assert_eq!(hub.held(), 800);
    hub.ok(&["fact", "verify", "--all"]);
}

#[test]
fn a_port_in_use_is_said() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let home = Home::below("a", Path::new("home"), port);
    let said = home.run(&["serve"]).failed(exit::OTHER);
    assert!(said.contains(&port.to_string()), "{said}");
}

/// Passes datagrams on, and damages one in twenty: a bit flipped, or the end cut off.
#[derive(Debug)]
struct Relay {
    port: u16,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<u64>>,
}

impl Relay {
    fn to(port: u16) -> Self {
        let front = UdpSocket::bind(("127.0.0.1", free_port())).unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").unwrap();
        back.connect(("127.0.0.1", port)).unwrap();
        for socket in [&front, &back] {
            socket
                .set_read_timeout(Some(Duration::from_millis(20)))
                .unwrap();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let port = front.local_addr().unwrap().port();
        let caller = Arc::new(std::sync::Mutex::new(None));
        let (inward, outward) = (
            Line::new(&front, &back, &stop, 1),
            Line::new(&back, &front, &stop, 2),
        );
        let (learn, answer) = (Arc::clone(&caller), caller);
        let threads = vec![
            std::thread::spawn(move || {
                inward.run(|to, bytes, from| {
                    *learn.lock().unwrap() = Some(from);
                    drop(to.send(bytes));
                })
            }),
            std::thread::spawn(move || {
                outward.run(|to, bytes, _| {
                    let caller = *answer.lock().unwrap();
                    drop(caller.map(|caller| to.send_to(bytes, caller)));
                })
            }),
        ];
        Self {
            port,
            stop,
            threads,
        }
    }

    /// Ends the relay; how many datagrams it damaged.
    fn damaged(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .drain(..)
            .map(|thread| thread.join().unwrap())
            .sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// One direction.
struct Line {
    from: UdpSocket,
    to: UdpSocket,
    stop: Arc<AtomicBool>,
    random: Random,
}

impl Line {
    fn new(from: &UdpSocket, to: &UdpSocket, stop: &Arc<AtomicBool>, seed: u64) -> Self {
        Self {
            from: from.try_clone().unwrap(),
            to: to.try_clone().unwrap(),
            stop: Arc::clone(stop),
            random: Random(seed),
        }
    }

    fn run(mut self, pass: impl Fn(&UdpSocket, &[u8], std::net::SocketAddr)) -> u64 {
        let mut buffer = [0; 65_536];
        let mut damaged = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((length, from)) = self.from.recv_from(&mut buffer) else {
                continue;
            };
            let mut length = length;
            if length > 1 && self.random.below(20) == 0 {
                damaged += 1;
                if self.random.below(2) == 0 {
                    length = self.random.below(length - 1) + 1;
                } else {
                    buffer[self.random.below(length)] ^= 1 << self.random.below(8);
                }
            }
            pass(&self.to, &buffer[..length], from);
        }
        damaged
    }
}
