//! The packet filter of a heartbeat socket, in classic BPF.
//!
//! Owns the one program that decides in the kernel which frames of a NIC PID 1 gets to
//! see at all: heartbeats, ARP, answers to our pings and to our questions to a witness,
//! and IPv6 neighbour discovery.
//! Everything else, such as the web traffic of the service, never wakes it up.

/// One instruction, `struct sock_filter`.
pub(crate) type Instruction = libc::sock_filter;

const LD_B_ABS: u16 = 0x30;
const LD_H_ABS: u16 = 0x28;
const LD_B_IND: u16 = 0x50;
const LD_H_IND: u16 = 0x48;
const LDX_MSH: u16 = 0xb1;
const JEQ: u16 = 0x15;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`: the NIC strips VLAN tags, so a tagged frame
/// of somebody else's network would look like one of ours.
const VLAN_TAG_PRESENT: u32 = 0xffff_f000 + 48;

const fn op(code: u16, k: u32) -> Instruction {
    Instruction {
        code,
        jt: 0,
        jf: 0,
        k,
    }
}

const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Frames with `ethertype`, ARP, unfragmented ICMPv4 echo replies, ICMPv6 echo replies
/// and neighbour solicitations and advertisements, and unfragmented UDP to port
/// `answers`; without a VLAN tag.
pub(crate) const fn heartbeat(ethertype: u16, answers: u16) -> [Instruction; 28] {
    const ACCEPT: u8 = 26;
    const DROP: u8 = 27;
    // A jump counts from the instruction after it.
    const fn to(here: u8, there: u8) -> u8 {
        there - here - 1
    }
    [
        op(LD_B_ABS, VLAN_TAG_PRESENT),
        jump(JEQ, 0, 0, to(1, DROP)),
        op(LD_H_ABS, 12),
        jump(JEQ, ethertype as u32, to(3, ACCEPT), 0),
        jump(JEQ, 0x0806, to(4, ACCEPT), 0),
        jump(JEQ, 0x86dd, to(5, 17), 0),
        jump(JEQ, 0x0800, 0, to(6, DROP)),
        // IPv4: not a later fragment.
        op(LD_H_ABS, 14 + 6),
        jump(JSET, 0x1fff, to(8, DROP), 0),
        op(LDX_MSH, 14),
        op(LD_B_ABS, 14 + 9),
        jump(JEQ, 1, 0, to(11, 14)),
        // ICMP: echo reply.
        op(LD_B_IND, 14),
        jump(JEQ, 0, to(13, ACCEPT), to(13, DROP)),
        // UDP: to that port.
        jump(JEQ, 17, 0, to(14, DROP)),
        op(LD_H_IND, 14 + 2),
        jump(JEQ, answers as u32, to(16, ACCEPT), to(16, DROP)),
        // IPv6: ICMPv6 directly behind the header; echo reply, solicitation, advertisement.
        op(LD_B_ABS, 14 + 6),
        jump(JEQ, 58, 0, to(18, 23)),
        op(LD_B_ABS, 14 + 40),
        jump(JEQ, 129, to(20, ACCEPT), 0),
        jump(JEQ, 135, to(21, ACCEPT), 0),
        jump(JEQ, 136, to(22, ACCEPT), to(22, DROP)),
        // The same with UDP.
        jump(JEQ, 17, 0, to(23, DROP)),
        op(LD_H_ABS, 14 + 40 + 2),
        jump(JEQ, answers as u32, to(25, ACCEPT), to(25, DROP)),
        op(RET, 0xffff),
        op(RET, 0),
    ]
}

/// Nothing at all.
pub(crate) const fn nothing() -> [Instruction; 1] {
    [op(RET, 0)]
}
