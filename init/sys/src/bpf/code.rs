//! A small assembler for BPF (RFC 9669), for programs that are read as they are written.
//!
//! Owns the encoding of the few instructions that are needed, and jumps to labels. Writes
//! what it is told; whether that is safe to run is judged by the kernel's verifier.

/// One instruction: `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    /// Source register in the high half, destination in the low one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// A register. Calls take their arguments in `R1` and up, answer in `R0`, and leave `R6`
/// to `R9` alone; `R10` is the frame pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "they are numbers")]
pub(crate) enum Register {
    R0 = 0,
    R1 = 1,
    R2 = 2,
    R3 = 3,
    R4 = 4,
    R6 = 6,
    R7 = 7,
    R8 = 8,
    R9 = 9,
    R10 = 10,
}

/// How much is loaded or stored.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Size {
    Byte = 0x10,
    Half = 0x08,
    Word = 0x00,
    Double = 0x18,
}

/// When a jump is taken.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum When {
    Equal = 0x10,
    NotEqual = 0x50,
    /// As unsigned numbers.
    AtLeast = 0x30,
}

/// Functions of the kernel (`enum bpf_func_id`).
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum Function {
    /// `bpf_map_lookup_elem(map, key)`: the value's address, or zero.
    MapLookup = 1,
    /// `bpf_skb_load_bytes(skb, offset, to, len)`: zero, or negative beyond the frame's end.
    LoadBytes = 26,
    /// `bpf_ktime_get_boot_ns()`: CLOCK_BOOTTIME.
    BootTime = 125,
}

const LD: u8 = 0x00;
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const JMP: u8 = 0x05;
const ALU64: u8 = 0x07;
const MEM: u8 = 0x60;
/// The operand is a register and not the immediate.
const REGISTER: u8 = 0x08;
const MOV: u8 = 0xb0;
const ADD: u8 = 0x00;
const ALWAYS: u8 = 0x00;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// `BPF_PSEUDO_MAP_FD`: the constant is the descriptor of a map.
const MAP_DESCRIPTOR: u8 = 1;

/// A place to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(usize);

/// A program being written.
#[derive(Debug, Default)]
pub(crate) struct Code {
    instructions: Vec<Instruction>,
    /// Where each label stands, once it does.
    labels: Vec<Option<usize>>,
    /// Jumps, by position, and where they go.
    jumps: Vec<(usize, Label)>,
}

impl Code {
    fn push(&mut self, code: u8, to: Register, from: u8, offset: i16, immediate: i32) {
        self.instructions.push(Instruction {
            code,
            registers: from << 4 | to as u8,
            offset,
            immediate,
        });
    }

    /// A label that does not stand anywhere yet.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label stands here.
    pub(crate) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// `to = value`
    pub(crate) fn set(&mut self, to: Register, value: i32) {
        self.push(ALU64 | MOV, to, 0, 0, value);
    }

    /// `to = from`
    pub(crate) fn copy(&mut self, to: Register, from: Register) {
        self.push(ALU64 | MOV | REGISTER, to, from as u8, 0, 0);
    }

    /// `to += value`
    pub(crate) fn add(&mut self, to: Register, value: i32) {
        self.push(ALU64 | ADD, to, 0, 0, value);
    }

    /// `to = *(at + offset)`
    pub(crate) fn load(&mut self, to: Register, size: Size, at: Register, offset: i16) {
        self.push(LDX | MEM | size as u8, to, at as u8, offset, 0);
    }

    /// `*(at + offset) = from`
    pub(crate) fn store(&mut self, size: Size, at: Register, offset: i16, from: Register) {
        self.push(STX | MEM | size as u8, at, from as u8, offset, 0);
    }

    /// `*(at + offset) = value`
    pub(crate) fn store_value(&mut self, size: Size, at: Register, offset: i16, value: i32) {
        self.push(ST | MEM | size as u8, at, 0, offset, value);
    }

    /// `to = the map behind this descriptor`; takes two instructions.
    pub(crate) fn map(&mut self, to: Register, descriptor: i32) {
        self.push(LD | Size::Double as u8, to, MAP_DESCRIPTOR, 0, descriptor);
        self.push(0, Register::R0, 0, 0, 0);
    }

    /// `R0 = function(R1, …)`
    pub(crate) fn call(&mut self, function: Function) {
        self.push(JMP | CALL, Register::R0, 0, 0, function as i32);
    }

    /// `goto label`
    pub(crate) fn go(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JMP | ALWAYS, Register::R0, 0, 0, 0);
    }

    /// `if left … value goto label`
    pub(crate) fn go_if(&mut self, left: Register, when: When, value: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JMP | when as u8, left, 0, 0, value);
    }

    /// `if left … right goto label`
    pub(crate) fn go_if_register(
        &mut self,
        left: Register,
        when: When,
        right: Register,
        label: Label,
    ) {
        self.jumps.push((self.instructions.len(), label));
        self.push(JMP | when as u8 | REGISTER, left, right as u8, 0, 0);
    }

    /// `return value`
    pub(crate) fn answer(&mut self, value: i32) {
        self.set(Register::R0, value);
        self.push(JMP | EXIT, Register::R0, 0, 0, 0);
    }

    /// The program, its jumps worked out.
    ///
    /// # Panics
    /// When a label was jumped to and never placed: a bug of the program's writer.
    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in &self.jumps {
            let target = self.labels[label.0].expect("every label is placed");
            // A jump counts from the instruction after it.
            let distance = target.cast_signed() - at.cast_signed() - 1;
            self.instructions[*at].offset = i16::try_from(distance).expect("a short program");
        }
        self.instructions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_laid_out_as_the_kernel_reads_them() {
        let mut code = Code::default();
        let end = code.label();
        code.copy(Register::R6, Register::R1);
        code.go_if(Register::R8, When::NotEqual, 0x0608, end);
        code.map(Register::R1, 7);
        code.store_value(Size::Word, Register::R10, -8, -1);
        code.place(end);
        code.answer(2);
        let bytes: Vec<[u8; 8]> = code
            .finish()
            .into_iter()
            .map(|instruction| {
                let [o0, o1] = instruction.offset.to_le_bytes();
                let [a, b, c, d] = instruction.immediate.to_le_bytes();
                [instruction.code, instruction.registers, o0, o1, a, b, c, d]
            })
            .collect();
        // By the opcode tables of RFC 9669.
        assert_eq!(
            bytes,
            [
                [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
                [0x55, 0x08, 3, 0, 0x08, 0x06, 0, 0],
                [0x18, 0x11, 0, 0, 7, 0, 0, 0],
                [0x00, 0x00, 0, 0, 0, 0, 0, 0],
                [0x62, 0x0a, 0xf8, 0xff, 0xff, 0xff, 0xff, 0xff],
                [0xb7, 0x00, 0, 0, 2, 0, 0, 0],
                [0x95, 0x00, 0, 0, 0, 0, 0, 0],
            ]
        );
    }

    #[test]
    #[should_panic(expected = "every label is placed")]
    fn a_jump_to_nowhere_is_a_bug() {
        let mut code = Code::default();
        let nowhere = code.label();
        code.go(nowhere);
        code.finish();
    }
}
