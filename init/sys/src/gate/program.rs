//! The program on a NIC: which frames speak for a VIP, and whether it may speak now.
//!
//! Read first: RFC 826 (ARP), RFC 5227 (probes), RFC 4861 (neighbour discovery), RFC 9669
//! (BPF). A frame speaks for an address when that is the target of a question that arrives
//! or the sender of what leaves. If it is a VIP whose deadline has come, the frame is
//! dropped; every other frame passes untouched: heartbeats, static addresses, probes from
//! nobody, and what is too short to say anything. The kernel itself cuts what a frame's
//! end cuts, so there is no way to read beyond it.
//!
//! VLAN tags are looked through, whether the NIC took them off or not: a frame with the
//! null VLAN is the kernel's business like one without a tag. IPv6 neighbour discovery
//! behind extension headers is dropped by its addresses only.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::bpf::Hook;
use crate::bpf::code::{Code, Function, Instruction, Label, Register, Size, When};
use Register::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};

/// Let later programs, and then the kernel, decide (`TCX_NEXT`).
pub(super) const PASS: i32 = -1;
/// `TCX_DROP`.
pub(super) const DROP: i32 = 2;

const ETHERTYPE: i32 = 12;
/// Tags in a row that are looked through: more than the kernel takes off.
const TAGS: usize = 2;
const ICMP6: i32 = 58;

// On the stack, below the frame pointer.
/// An address: 16 bytes.
const ADDRESS: i16 = -16;
/// The last four of them, for IPv4.
const ADDRESS_IPV4: i16 = -4;
/// A VIP's position: 4 bytes.
const SLOT: i16 = -20;
/// A field of a header: up to 4 bytes.
const FIELD: i16 = -24;

/// Where the addresses stand behind the Ethernet header, and what neighbour discovery
/// says with a target.
struct Layout {
    arp: i32,
    ipv4: i32,
    ipv6: i32,
    discovery: i32,
}

const fn layout(hook: Hook) -> Layout {
    match hook {
        // ARP's target, the destination; a neighbour solicitation asks about its target.
        Hook::Ingress => Layout {
            arp: 24,
            ipv4: 16,
            ipv6: 24,
            discovery: 135,
        },
        // ARP's sender, the source; a neighbour advertisement speaks for its target.
        Hook::Egress => Layout {
            arp: 14,
            ipv4: 12,
            ipv6: 8,
            discovery: 136,
        },
    }
}

/// A constant that compares with two bytes as they stand in a frame.
fn in_order(value: u16) -> i32 {
    i32::from(u16::from_ne_bytes(value.to_be_bytes()))
}

/// The program for one direction. `addresses` is a hash of VIPs (16 bytes; IPv4 mapped, RFC
/// 4291 section 2.5.5.2) to positions, `deadlines` an array of nanoseconds since boot.
pub(super) fn program(
    hook: Hook,
    addresses: BorrowedFd<'_>,
    deadlines: BorrowedFd<'_>,
) -> Vec<Instruction> {
    let at = layout(hook);
    let mut code = Code::default();
    let [pass, drop, typed, arp, ipv4, mapped, ipv6] = std::array::from_fn(|_| code.label());
    let closed = |code: &mut Code| drop_if_closed(code, addresses, deadlines, drop);

    // R6 = the frame, R7 = where its EtherType stands, R8 = that, behind tags.
    code.copy(R6, R1);
    code.set(R7, ETHERTYPE);
    for tags in 0..=TAGS {
        field(&mut code, 0, Size::Half, pass);
        code.load(R8, Size::Half, R10, FIELD);
        if tags < TAGS {
            let tagged = code.label();
            code.go_if(R8, When::Equal, in_order(0x8100), tagged);
            code.go_if(R8, When::NotEqual, in_order(0x88a8), typed);
            code.place(tagged);
            code.add(R7, 4);
        }
    }

    // R7 = where the header behind Ethernet's begins.
    code.place(typed);
    code.add(R7, 2);
    code.go_if(R8, When::Equal, in_order(0x0800), ipv4);
    code.go_if(R8, When::Equal, in_order(0x86dd), ipv6);
    code.go_if(R8, When::Equal, in_order(0x0806), arp);
    code.go(pass);

    code.place(arp);
    read(&mut code, at.arp, 4, ADDRESS_IPV4, pass);
    code.go(mapped);

    code.place(ipv4);
    read(&mut code, at.ipv4, 4, ADDRESS_IPV4, pass);

    // ::ffff:a.b.c.d
    code.place(mapped);
    code.store_value(Size::Double, R10, ADDRESS, 0);
    code.store_value(Size::Half, R10, ADDRESS + 8, 0);
    code.store_value(Size::Half, R10, ADDRESS + 10, -1);
    closed(&mut code);
    code.go(pass);

    code.place(ipv6);
    read(&mut code, at.ipv6, 16, ADDRESS, pass);
    closed(&mut code);
    // Neighbour discovery for a VIP has other addresses on its envelope.
    for (offset, value) in [(6, ICMP6), (40, at.discovery)] {
        field(&mut code, offset, Size::Byte, pass);
        code.load(R8, Size::Byte, R10, FIELD);
        code.go_if(R8, When::NotEqual, value, pass);
    }
    read(&mut code, 48, 16, ADDRESS, pass);
    closed(&mut code);

    code.place(pass);
    code.answer(PASS);
    code.place(drop);
    code.answer(DROP);
    code.finish()
}

/// Copies `len` bytes at R7 + `offset` of the frame to the stack; `short` when it ends before.
fn read(code: &mut Code, offset: i32, len: i32, to: i16, short: Label) {
    code.copy(R1, R6);
    code.copy(R2, R7);
    code.add(R2, offset);
    code.copy(R3, R10);
    code.add(R3, i32::from(to));
    code.set(R4, len);
    code.call(Function::LoadBytes);
    code.go_if(R0, When::NotEqual, 0, short);
}

/// Copies a header's field to the stack.
fn field(code: &mut Code, offset: i32, size: Size, short: Label) {
    let len = match size {
        Size::Byte => 1,
        Size::Half => 2,
        Size::Word => 4,
        Size::Double => 8,
    };
    read(code, offset, len, FIELD, short);
}

/// If the address on the stack is a VIP whose deadline has come: `drop`.
fn drop_if_closed(
    code: &mut Code,
    addresses: BorrowedFd<'_>,
    deadlines: BorrowedFd<'_>,
    drop: Label,
) {
    let stranger = code.label();
    code.map(R1, addresses.as_raw_fd());
    code.copy(R2, R10);
    code.add(R2, i32::from(ADDRESS));
    code.call(Function::MapLookup);
    code.go_if(R0, When::Equal, 0, stranger);
    // R9 = its deadline.
    code.load(R1, Size::Word, R0, 0);
    code.store(Size::Word, R10, SLOT, R1);
    code.map(R1, deadlines.as_raw_fd());
    code.copy(R2, R10);
    code.add(R2, i32::from(SLOT));
    code.call(Function::MapLookup);
    code.go_if(R0, When::Equal, 0, stranger);
    code.load(R9, Size::Double, R0, 0);
    code.call(Function::BootTime);
    code.go_if_register(R0, When::AtLeast, R9, drop);
    code.place(stranger);
}
