//! The packet filter of a heartbeat socket, in classic BPF.
//!
//! Owns the one program that decides in the kernel which frames of a NIC PID 1 gets to
//! see at all: heartbeats, ARP, answers to our pings, and IPv6 neighbour discovery.
//! Everything else, such as the web traffic of the service, never wakes it up.

/// One instruction, `struct sock_filter`.
pub(crate) type Instruction = libc::sock_filter;

const LD_B_ABS: u16 = 0x30;
const LD_H_ABS: u16 = 0x28;
const LD_B_IND: u16 = 0x50;
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
/// and neighbour solicitations and advertisements; without a VLAN tag.
pub(crate) const fn heartbeat(ethertype: u16) -> [Instruction; 22] {
    const ACCEPT: u8 = 20;
    const DROP: u8 = 21;
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
        jump(JEQ, 0x86dd, to(5, 14), 0),
        jump(JEQ, 0x0800, 0, to(6, DROP)),
        // IPv4: ICMP, not a later fragment, echo reply.
        op(LD_B_ABS, 14 + 9),
        jump(JEQ, 1, 0, to(8, DROP)),
        op(LD_H_ABS, 14 + 6),
        jump(JSET, 0x1fff, to(10, DROP), 0),
        op(LDX_MSH, 14),
        op(LD_B_IND, 14),
        jump(JEQ, 0, to(13, ACCEPT), to(13, DROP)),
        // IPv6: ICMPv6 directly behind the header; echo reply, solicitation, advertisement.
        op(LD_B_ABS, 14 + 6),
        jump(JEQ, 58, 0, to(15, DROP)),
        op(LD_B_ABS, 14 + 40),
        jump(JEQ, 129, to(17, ACCEPT), 0),
        jump(JEQ, 135, to(18, ACCEPT), 0),
        jump(JEQ, 136, to(19, ACCEPT), to(19, DROP)),
        op(RET, 0xffff),
        op(RET, 0),
    ]
}
