//! The probe child against services that are well, refuse, hang, or talk nonsense.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use common::pair;
use kodo_admin::probe::{self, Ask, ProbeConfig, Target};
use kodo_admin::relay::{self, DATAGRAM, ProbeRequest, ProbeResult, ToProbe};
use kodo_node::io::{ProbeError, ServiceId, Token};

/// A service on loopback that treats every connection so.
fn service(treat: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            treat(stream.unwrap());
        }
    });
    port
}

/// Reads the request's head, then answers.
fn answers(answer: &'static [u8]) -> u16 {
    service(move |mut stream| {
        let mut request = Vec::new();
        let mut chunk = [0; 512];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut chunk) {
                Ok(read @ 1..) => request.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        }
        let plain = b"GET /health?deep=1 HTTP/1.1\r\nHost: localhost\r\n";
        let whole = b"GET /health?deep=1 HTTP/1.0\r\nHost: localhost\r\n";
        assert!(request.starts_with(plain) || request.starts_with(whole));
        let _ = stream.write_all(answer);
    })
}

fn page(status: Option<u16>, body: Option<&str>) -> Ask {
    Ask::Http {
        path: "/health?deep=1".to_owned(),
        status,
        body: body.map(str::to_owned),
    }
}

/// PID 1 with a probe child that knows these services.
struct Pid1(UnixDatagram);

impl Pid1 {
    fn new(ports: &[u16], timeout_ms: u64) -> Pid1 {
        let plain: Vec<_> = ports.iter().map(|port| (*port, page(None, None))).collect();
        Pid1::asking(&plain, timeout_ms)
    }

    fn asking(services: &[(u16, Ask)], timeout_ms: u64) -> Pid1 {
        let (child, pid1) = pair();
        let target = |(port, ask): &(u16, Ask)| {
            Some(Target {
                port: *port,
                ask: ask.clone(),
                timeout: Duration::from_millis(timeout_ms),
            })
        };
        let config = ProbeConfig {
            services: services.iter().map(target).collect(),
        };
        thread::spawn(move || probe::run(child));
        let pid1 = Pid1(pid1);
        pid1.tell(&ToProbe::Setup(config));
        pid1
    }

    fn tell(&self, message: &ToProbe) {
        let mut buffer = [0; DATAGRAM];
        self.0
            .send(relay::encode(message, &mut buffer).unwrap())
            .unwrap();
    }

    fn ask(&self, token: u32, service: u8) {
        self.tell(&ToProbe::Ask(ProbeRequest {
            token: Token(token),
            service: ServiceId(service),
        }));
    }

    fn answer(&self) -> ProbeResult {
        let mut buffer = [0; 64];
        let length = self.0.recv(&mut buffer).unwrap();
        relay::decode(&buffer[..length]).unwrap()
    }

    fn verdict(&self, service: u8) -> Result<i16, ProbeError> {
        self.ask(7, service);
        let answer = self.answer();
        assert_eq!(answer.token, Token(7));
        answer.result
    }
}

#[test]
fn well_is_a_status_below_400() {
    let ports = [
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        answers(b"HTTP/1.0 204 No Content\r\nKodo-Promotion: 7\r\n\r\n"),
        answers(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"),
        answers(b"HTTP/1.1 404 Not Found\r\n\r\n"),
        answers(b"HTTP/1.1 500 Oh No\r\n\r\n"),
    ];
    let pid1 = Pid1::new(&ports, 5_000);
    assert_eq!(pid1.verdict(0), Ok(0));
    assert_eq!(pid1.verdict(1), Ok(7));
    assert_eq!(pid1.verdict(2), Ok(0));
    assert_eq!(pid1.verdict(3), Err(ProbeError::Status(404)));
    assert_eq!(pid1.verdict(4), Err(ProbeError::Status(500)));
}

#[test]
fn a_status_is_expected() {
    let moved = b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n";
    let pid1 = Pid1::asking(
        &[
            (answers(moved), page(Some(301), None)),
            (answers(moved), page(Some(200), None)),
            (answers(b"HTTP/1.1 503 Busy\r\n\r\n"), page(Some(503), None)),
        ],
        5_000,
    );
    assert_eq!(pid1.verdict(0), Ok(0));
    assert_eq!(pid1.verdict(1), Err(ProbeError::Status(301)));
    assert_eq!(pid1.verdict(2), Ok(0));
}

#[test]
fn a_text_is_expected_in_the_page_and_not_in_its_head() {
    let pages: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nKodo-Promotion: 7\r\n\r\nthe shop is open today",
        b"HTTP/1.1 200 OK\r\nX: shop is open\r\n\r\nthe shop is shut",
        b"HTTP/1.1 500 Oh No\r\n\r\nthe shop is open",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ];
    let asked = pages.map(|answer| (answers(answer), page(None, Some("shop is open"))));
    let pid1 = Pid1::asking(&asked, 5_000);
    assert_eq!(pid1.verdict(0), Ok(7));
    assert_eq!(pid1.verdict(1), Err(ProbeError::Text));
    assert_eq!(pid1.verdict(2), Err(ProbeError::Status(500)));
    assert_eq!(pid1.verdict(3), Err(ProbeError::Text));
}

#[test]
fn a_text_may_come_late_and_in_parts_but_not_for_ever() {
    let slow = service(|mut stream| {
        let mut request = [0; 512];
        let _ = stream.read(&mut request);
        for part in ["HTTP/1.1 200 OK\r\n\r\n", "the sh", "op is", " open"] {
            let _ = stream.write_all(part.as_bytes());
            let _ = stream.flush();
            thread::yield_now();
        }
        // Neither is the connection closed.
        let _ = stream.read(&mut request);
    });
    let endless = service(|mut stream| {
        let mut request = [0; 512];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let wanted = page(None, Some("shop is open"));
    let pid1 = Pid1::asking(&[(slow, wanted.clone()), (endless, wanted)], 5_000);
    assert_eq!(pid1.verdict(0), Ok(0));
    assert_eq!(pid1.verdict(1), Err(ProbeError::Text));
}

#[test]
fn a_connection_is_enough_over_tcp() {
    let mute = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = mute.local_addr().unwrap().port();
    let pid1 = Pid1::asking(&[(port, Ask::Tcp), (port, page(None, None))], 200);
    assert_eq!(pid1.verdict(0), Ok(0));
    assert_eq!(pid1.verdict(1), Err(ProbeError::Timeout));
    drop(mute);
    assert_eq!(pid1.verdict(0), Err(ProbeError::Refused));
}

#[test]
fn services_change_while_it_runs() {
    let pid1 = Pid1::new(&[answers(b"HTTP/1.1 500 Oh No\r\n\r\n")], 5_000);
    assert_eq!(pid1.verdict(0), Err(ProbeError::Status(500)));
    let well = Target {
        port: answers(b"HTTP/1.1 204 No Content\r\n\r\n"),
        ask: page(None, None),
        timeout: Duration::from_secs(5),
    };
    pid1.tell(&ToProbe::Setup(ProbeConfig {
        services: vec![None, Some(well)],
    }));
    assert_eq!(pid1.verdict(0), Err(ProbeError::Refused));
    assert_eq!(pid1.verdict(1), Ok(0));
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pid1 = Pid1::new(&[port], 5_000);
    assert_eq!(pid1.verdict(0), Err(ProbeError::Refused));
    assert_eq!(
        pid1.verdict(1),
        Err(ProbeError::Refused),
        "a service without a probe"
    );
}

#[test]
fn a_hung_service_costs_its_timeout_and_no_more() {
    let held = std::sync::Mutex::new(Vec::new());
    let silent = service(move |stream| held.lock().unwrap().push(stream));
    // The kernel accepts for it, but it never does.
    let asleep = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let trickling = service(|mut stream| {
        thread::spawn(move || {
            while stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
    });
    let ports = [silent, asleep.local_addr().unwrap().port(), trickling];
    let pid1 = Pid1::new(&ports, 300);
    for service in 0..3 {
        let begun = Instant::now();
        assert_eq!(
            pid1.verdict(service),
            Err(ProbeError::Timeout),
            "service {service}"
        );
        assert!(begun.elapsed() >= Duration::from_millis(300));
    }
}

#[test]
fn garbage_is_called_garbage() {
    let ports = [
        answers(b"SSH-2.0-OpenSSH_9.2\r\n"),
        answers(b""),
        answers(b"HTTP/1.1 200 OK\r\nCut: sho"),
        answers(b"\xff\xfe\xfd\xfc\r\n\r\n"),
        // Speaks first, and not HTTP.
        service(|mut stream| drop(stream.write_all(b"220 mail ESMTP\r\n"))),
        // A head without an end.
        service(|mut stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-More: and more and more\r\n").is_ok() {}
        }),
    ];
    let pid1 = Pid1::new(&ports, 10_000);
    for service in 0..u8::try_from(ports.len()).unwrap() {
        assert_eq!(
            pid1.verdict(service),
            Err(ProbeError::Garbage),
            "service {service}"
        );
    }
}

#[test]
fn a_hung_service_does_not_delay_another() {
    let asleep = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let well = answers(b"HTTP/1.1 200 OK\r\n\r\n");
    let pid1 = Pid1::new(&[asleep.local_addr().unwrap().port(), well], 2_000);
    pid1.ask(1, 0);
    pid1.ask(2, 1);
    assert_eq!(
        pid1.answer(),
        ProbeResult {
            token: Token(2),
            result: Ok(0)
        }
    );
    let late = ProbeResult {
        token: Token(1),
        result: Err(ProbeError::Timeout),
    };
    assert_eq!(pid1.answer(), late);
}

#[test]
fn more_than_fit_wait_and_are_answered() {
    let asleep = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let pid1 = Pid1::new(&[asleep.local_addr().unwrap().port()], 200);
    for token in 0..40 {
        pid1.ask(token, 0);
    }
    let mut tokens: Vec<u32> = (0..40).map(|_| pid1.answer().token.0).collect();
    tokens.sort_unstable();
    assert_eq!(tokens, (0..40).collect::<Vec<_>>());
}

#[test]
fn ends_when_pid1_is_gone_and_skips_nonsense() {
    let (child, pid1) = pair();
    let runner = thread::spawn(move || probe::run(child));
    pid1.send(&[0xff; 32]).unwrap();
    pid1.send(&[0; 200]).unwrap();
    let pid1 = Pid1(pid1);
    assert_eq!(pid1.verdict(0), Err(ProbeError::Refused));
    drop(pid1);
    assert!(matches!(
        runner.join().unwrap(),
        Err(probe::Error::Orphaned)
    ));
}
