//! An allocator that counts, for tests that prove that code allocates nothing.
//!
//! A test makes it the global allocator: `#[global_allocator] static A: Counting =
//! Counting::new();`. It counts per thread, so that other threads do not disturb.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting.
#[derive(Debug, Default)]
pub struct Counting;

impl Counting {
    /// The allocator.
    #[must_use]
    pub const fn new() -> Counting {
        Counting
    }

    /// How often this thread has asked for memory so far.
    #[must_use]
    pub fn allocations() -> u64 {
        ALLOCATIONS.with(Cell::get)
    }
}

fn count() {
    // A thread that is ending has no counter any more, and nothing to prove.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
