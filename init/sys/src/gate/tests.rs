//! What the programs drop, frame by frame; and what is left to be seen on a cable.

use super::*;
use crate::clock;
use cable::Cable;

mod cable;
mod frames;

use frames::*;

/// A gate, or a word why there is none here.
fn gate(vips: &[IpAddr]) -> Option<(Gate, Deadlines)> {
    if !crate::process::is_root() {
        return None;
    }
    match Gate::load(vips) {
        Ok(gate) => {
            let deadlines = Deadlines::map(gate.deadlines()).unwrap();
            Some((gate, deadlines))
        }
        Err(error)
            if matches!(
                crate::errno(&error),
                libc::ENOSYS | libc::EINVAL | libc::EPERM
            ) =>
        {
            eprintln!("not tested: this kernel has no gate: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn vips() -> [IpAddr; 2] {
    [VIP4.into(), VIP6.into()]
}

#[test]
fn other_vips_where_it_stands() {
    let Some((mut gate, deadlines)) = gate(&[VIP4.into()]) else {
        return;
    };
    let other = std::net::Ipv4Addr::new(192, 168, 0, 99);
    let passes = |gate: &Gate, vip| gate.try_frame(true, &arp(true, CLIENT4, vip), 1).unwrap().0;
    let until = clock::boottime() + Duration::from_secs(60);
    deadlines.set(0, until);
    assert!(
        passes(&gate, VIP4) && passes(&gate, other),
        "not its business yet"
    );
    gate.renew(&[VIP4.into(), other.into()]).unwrap();
    assert!(passes(&gate, VIP4), "it keeps its place and its deadline");
    assert!(!passes(&gate, other), "closed until its deadline is set");
    deadlines.set(1, until);
    assert!(passes(&gate, other));
    deadlines.set(0, Duration::ZERO);
    assert!(!passes(&gate, VIP4));
    gate.renew(&[other.into()]).unwrap();
    assert!(passes(&gate, VIP4), "nobody's VIP any more");
}

/// A frame that speaks for a VIP, in which direction, and what it is.
fn speaks() -> Vec<(bool, Vec<u8>, &'static str)> {
    let (inward, outward) = (true, false);
    vec![
        (inward, arp(true, CLIENT4, VIP4), "who has the VIP?"),
        (inward, ipv4(CLIENT4, VIP4, 6, &[0; 20]), "TCP to the VIP"),
        (inward, ipv4(CLIENT4, VIP4, 1, &[8; 8]), "ping of the VIP"),
        (inward, ipv6(CLIENT6, VIP6, 6, &[0; 20]), "TCP to the VIP"),
        (inward, solicitation(CLIENT6, VIP6), "who has the VIP?"),
        (outward, arp(false, VIP4, CLIENT4), "I have the VIP"),
        (outward, arp(true, VIP4, VIP4), "an announcement"),
        (outward, arp(true, VIP4, CLIENT4), "the VIP asks"),
        (outward, ipv4(VIP4, CLIENT4, 6, &[0; 20]), "TCP of the VIP"),
        (outward, ipv6(VIP6, CLIENT6, 6, &[0; 20]), "TCP of the VIP"),
        (outward, advertisement(STATIC6, VIP6), "the VIP lives here"),
        (outward, advertisement(VIP6, VIP6), "the VIP lives here"),
    ]
}

/// A frame that does not, in either direction.
fn speaks_not() -> Vec<(Vec<u8>, &'static str)> {
    let nobody = "0.0.0.0".parse().unwrap();
    vec![
        (ethernet(0x88b5, b"heartbeat"), "a heartbeat"),
        (ethernet(0x0806, b"short"), "a short ARP packet"),
        (ethernet(0x8100, &[0, 5]), "a tag and nothing else"),
        (arp(true, CLIENT4, STATIC4), "who has the static address?"),
        (arp(false, STATIC4, CLIENT4), "I have the static address"),
        (arp(true, nobody, STATIC4), "a probe"),
        (ipv4(CLIENT4, STATIC4, 6, &[0; 20]), "TCP"),
        (ipv4(STATIC4, CLIENT4, 6, &[0; 20]), "TCP"),
        (ipv6(CLIENT6, STATIC6, 6, &[0; 20]), "TCP"),
        (ipv6(STATIC6, CLIENT6, 58, &[128; 32]), "a ping"),
        (
            solicitation(CLIENT6, STATIC6),
            "who has the static address?",
        ),
        (advertisement(STATIC6, STATIC6), "it lives here"),
    ]
}

#[test]
fn an_open_gate_passes_everything_and_a_closed_one_all_but_the_vip() {
    let Some((gate, deadlines)) = gate(&vips()) else {
        return;
    };
    let passes = |inward, frame: &[u8]| gate.try_frame(inward, frame, 1).unwrap().0;
    for (inward, frame, what) in speaks() {
        assert!(!passes(inward, &frame), "closed at first: {what}");
        for tags in [&[0x8100][..], &[0x88a8], &[0x8100, 0x8100]] {
            assert!(!passes(inward, &tagged(&frame, tags)), "{tags:x?}: {what}");
        }
    }
    // A node that looks for others behind its VIP may always ask.
    let nobody = "0.0.0.0".parse().unwrap();
    assert!(passes(false, &arp(true, nobody, VIP4)));
    assert!(passes(false, &solicitation("::".parse().unwrap(), VIP6)));
    // Others' claims are for the kernel to see.
    assert!(passes(
        true,
        &arp(true, VIP4, VIP4.octets().map(|_| 9).into())
    ));
    assert!(passes(true, &advertisement(VIP6, VIP6)));
    for (frame, what) in speaks_not() {
        assert!(passes(true, &frame) && passes(false, &frame), "{what}");
    }

    for slot in [0, 1] {
        deadlines.set(slot, clock::boottime() + Duration::from_secs(60));
    }
    for (inward, frame, what) in speaks() {
        assert!(passes(inward, &frame), "open: {what}");
        assert!(passes(inward, &tagged(&frame, &[0x8100])), "open: {what}");
    }
    // Each VIP has its own.
    deadlines.set(1, clock::boottime());
    assert!(passes(true, &arp(true, CLIENT4, VIP4)));
    assert!(!passes(true, &ipv6(CLIENT6, VIP6, 6, &[0; 20])));
}

#[test]
fn a_gate_closes_by_itself_and_not_before() {
    let Some((gate, deadlines)) = gate(&vips()) else {
        return;
    };
    let frame = arp(true, CLIENT4, VIP4);
    for _ in 0..20 {
        let until = clock::boottime() + Duration::from_millis(3);
        deadlines.set(0, until);
        loop {
            let before = clock::boottime();
            let passes = gate.try_frame(true, &frame, 1).unwrap().0;
            let after = clock::boottime();
            assert!(passes || after >= until, "closed before its time");
            assert!(!passes || before < until, "open after its time");
            if !passes {
                break;
            }
        }
    }
}

#[test]
fn frames_of_every_length_are_judged() {
    let Some((gate, _deadlines)) = gate(&vips()) else {
        return;
    };
    for (inward, frame, what) in speaks() {
        for frame in [frame.clone(), tagged(&frame, &[0x8100, 0x88a8])] {
            let passes = |len: usize| match gate.try_frame(inward, &frame[..len], 1) {
                Ok((passes, _)) => passes,
                // Less than its own header would need is not even tried; see the cable.
                Err(error) if crate::errno(&error) == libc::EINVAL => true,
                Err(error) => panic!("{what}: {error}"),
            };
            assert!(!passes(frame.len()), "{what}");
            (14..frame.len()).for_each(|len| {
                passes(len);
            });
        }
    }
}

#[test]
fn on_a_wire_short_frames_hurt_nobody() {
    on_a_wire(|gate, _deadlines, cable| {
        let Ok(_attached) = gate.attach(cable.nic()) else {
            return;
        };
        for (_, frame, _) in speaks() {
            for frame in [frame.clone(), tagged(&frame, &[0x8100, 0x88a8])] {
                for len in 14..frame.len() {
                    cable.send(&frame[..len]);
                }
            }
        }
        assert!(answers(cable, VIP4, VIP6).is_empty());
        assert_eq!(answers(cable, STATIC4, STATIC6), ALL);
    });
}

#[test]
fn more_vips_than_slots_are_refused() {
    let many = vec![IpAddr::from(VIP4); VIPS + 1];
    let error = Gate::load(&many).unwrap_err();
    assert_eq!(crate::errno(&error), libc::E2BIG);
}

/// A node's port with static addresses and the VIPs, and a client's plug at the other end.
fn on_a_wire(test: impl FnOnce(&Gate, &Deadlines, &Cable) + Send + 'static) {
    // In a thread, so that the other tests keep their network.
    let thread = std::thread::spawn(|| {
        let Some((gate, deadlines)) = gate(&vips()) else {
            return;
        };
        crate::process::new_network().unwrap();
        let Some(cable) = Cable::new() else {
            return;
        };
        test(&gate, &deadlines, &cable);
    });
    thread.join().unwrap();
}

/// Everything that a client can ask of an address: what it asks, and the answers seen.
fn answers(cable: &Cable, v4: std::net::Ipv4Addr, v6: Ipv6Addr) -> Vec<&'static str> {
    let mut answered = Vec::new();
    for (what, question, answer) in questions(cable.mac(), v4, v6) {
        cable.send(&question);
        if cable.sees(|frame| answer(frame)) {
            answered.push(what);
        }
    }
    answered
}

const ALL: [&str; 6] = ["ARP", "ping", "TCP", "ND", "ping6", "TCP6"];

#[test]
fn on_a_wire_a_vip_is_silent_from_its_deadline_on() {
    on_a_wire(|gate, deadlines, cable| {
        // The client's neighbour entry, and that the machine answers at all.
        assert_eq!(answers(cable, STATIC4, STATIC6), ALL, "no gate");
        assert_eq!(answers(cable, VIP4, VIP6), ALL, "no gate");
        let Ok(attached) = gate.attach(cable.nic()) else {
            eprintln!("not tested: this kernel attaches no gate");
            return;
        };
        assert!(answers(cable, VIP4, VIP6).is_empty(), "closed at first");
        let open = |time| {
            for slot in [0, 1] {
                deadlines.set(slot, clock::boottime() + Duration::from_millis(time));
            }
        };
        open(60_000);
        assert_eq!(answers(cable, VIP4, VIP6), ALL, "open");
        open(0);
        assert!(answers(cable, VIP4, VIP6).is_empty(), "closed at once");
        open(30);
        cable.send(&arp(true, CLIENT4, VIP4));
        assert!(cable.sees(|frame| speaks_for(frame, VIP4.into())));
        std::thread::sleep(Duration::from_millis(31));
        assert!(answers(cable, VIP4, VIP6).is_empty(), "closed by itself");
        assert_eq!(answers(cable, STATIC4, STATIC6), ALL, "untouched");
        drop(attached);
        assert_eq!(answers(cable, VIP4, VIP6), ALL, "taken off");
    });
}

#[test]
fn on_a_wire_nothing_leaves_from_a_closed_vip() {
    on_a_wire(|gate, deadlines, cable| {
        let Ok(_attached) = gate.attach(cable.nic()) else {
            eprintln!("not tested: this kernel attaches no gate");
            return;
        };
        // Of the machine's own accord: from a socket of the service, and from PID 1's.
        let service = std::net::UdpSocket::bind((VIP4, 0)).unwrap();
        let pid1 = cable.pid1();
        let all = || {
            cable.send(&arp(true, CLIENT4, STATIC4));
            service.send_to(b"news", (CLIENT4, 9)).unwrap();
            // Refused while the gate is closed, as when a queue is full.
            let announced = pid1.send(&arp(true, VIP4, VIP4)).is_ok();
            pid1.send(&arp(true, "0.0.0.0".parse().unwrap(), VIP4))
                .unwrap();
            pid1.send(&ethernet(0x88b5, b"heartbeat")).unwrap();
            (announced, cable.all())
        };
        let is = |frames: &[Vec<u8>], kind: u16| {
            let kind = kind.to_be_bytes();
            frames.iter().filter(|frame| frame[12..14] == kind).count()
        };
        let (announced, silent) = all();
        assert!(!announced);
        let claims = silent.iter().filter(|frame| speaks_for(frame, VIP4.into()));
        assert_eq!(claims.count(), 0);
        assert_eq!(
            (is(&silent, 0x88b5), is(&silent, 0x0806)),
            (1, 3),
            "{silent:x?}"
        );
        deadlines.set(0, clock::boottime() + Duration::from_secs(60));
        let (announced, open) = all();
        assert!(announced);
        let claims = open.iter().filter(|frame| speaks_for(frame, VIP4.into()));
        assert!(claims.count() >= 2, "{open:x?}");
        assert_eq!(is(&open, 0x88b5), 1);
    });
}

#[test]
fn pid_1_hears_questions_about_a_closed_vip() {
    on_a_wire(|gate, _deadlines, cable| {
        let Ok(_attached) = gate.attach(cable.nic()) else {
            return;
        };
        let pid1 = cable.pid1();
        cable.send(&arp(true, CLIENT4, VIP4));
        cable.send(&arp(true, VIP4, VIP4));
        let mut buffer = [0; 2048];
        for _ in 0..2 {
            let end = clock::boottime() + Duration::from_secs(5);
            let len = loop {
                match pid1.receive(&mut buffer) {
                    Ok(len) => break len,
                    Err(error) => assert!(clock::boottime() < end, "{error}"),
                }
            };
            assert_eq!(buffer[12..14], [0x08, 0x06]);
            assert!(len >= 42);
        }
    });
}

#[test]
fn a_port_that_goes_away_takes_its_gate_along() {
    on_a_wire(|gate, _deadlines, cable| {
        let Ok(first) = gate.attach(cable.nic()) else {
            return;
        };
        // Set up again while it is still there.
        let again = gate.attach(cable.nic()).unwrap_err();
        assert_eq!(crate::errno(&again), libc::EEXIST);
        assert!(answers(cable, VIP4, VIP6).is_empty());
        cable.unplug();
        let gone = gate.attach(cable.nic()).unwrap_err();
        assert_eq!(crate::errno(&gone), libc::ENODEV);
        drop(first);
        let again = Cable::new().unwrap();
        let _attached = gate.attach(again.nic()).unwrap();
        assert!(answers(&again, VIP4, VIP6).is_empty());
        assert_eq!(answers(&again, STATIC4, STATIC6), ALL);
    });
}
