//! iceoryx2 for Tapedeck: wraps the few functions of the official Rust crate that the server uses in a
//! C interface that bun:ffi can call. (No package registry has iceoryx2's own C library at this version.)
//!
//! The server makes one call for each batch and passes the position of its records, whose layout
//! protocol/ring.md defines. Each record goes to the service of its kind: the library loans a sample in
//! shared memory, writes the record into it and sends it. A sample is a record followed by the symbol
//! and the scales of its instrument, because a subscriber may have no ring in which to look them up.
//!
//! No function panics across the interface. The text of an error is written to the caller's buffer.

use core::ffi::c_char;
use core::mem::MaybeUninit;
use core::slice;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

/// Version of this interface. Increment it when a function or a payload changes.
const INTERFACE: u32 = 2;
const ICEORYX2: &core::ffi::CStr = c"0.10.0";

const RECORD: usize = 128;
const ENTRY: usize = 1024;
/// Offsets within an entry: the symbol, the scales, the complete book.
const SYMBOL_AT: usize = 16;
const SCALES_AT: usize = 32;
const BOOK_AT: usize = 512;
const BOOK: usize = 376;

const KIND_TICK: u8 = 49;
const KIND_TRADE: u8 = 50;
const KIND_BBO: u8 = 51;
const KIND_BOOK: u8 = 52;
const KIND_STATUS: u8 = 55;

macro_rules! payload {
    ($name:ident, $type_name:literal, $words:expr) => {
        #[derive(Debug, Clone, Copy, ZeroCopySend)]
        #[type_name($type_name)]
        #[repr(C)]
        pub struct $name {
            words: [u64; $words],
            symbol: [u64; 2],
            price_scale: u32,
            quantity_scale: u32,
        }

        impl Payload for $name {}
    };
}

trait Payload: ZeroCopySend + core::fmt::Debug + Copy + 'static {}

payload!(Tick, "tapedeck.Tick.2", RECORD / 8);
payload!(Trade, "tapedeck.Trade.2", RECORD / 8);
payload!(Bbo, "tapedeck.Bbo.2", RECORD / 8);
payload!(Status, "tapedeck.Status.2", RECORD / 8);
payload!(Book, "tapedeck.Book.2", BOOK / 8);

type Out<P> = Publisher<ipc::Service, P, ()>;
type In<P> = Subscriber<ipc::Service, P, ()>;

pub struct Publishers {
    tick: Out<Tick>,
    trade: Out<Trade>,
    bbo: Out<Bbo>,
    status: Out<Status>,
    book: Out<Book>,
    /// Instruments whose book was sent in this call.
    sent: HashSet<u32>,
    books: Vec<u32>,
    _node: Node<ipc::Service>,
}

struct Limits {
    subscribers: usize,
    buffer: usize,
}

fn node() -> Result<Node<ipc::Service>, String> {
    set_log_level(LogLevel::Fatal); // errors are returned, and the server logs them
    NodeBuilder::new()
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()
        .map_err(|e| format!("the node cannot be created: {e:?}"))
}

fn publisher<P: Payload>(
    node: &Node<ipc::Service>,
    prefix: &str,
    kind: &str,
    limits: &Limits,
) -> Result<Out<P>, String> {
    let name = format!("{prefix}/{kind}");
    let service = name
        .as_str()
        .try_into()
        .map_err(|e| format!("the service name {name} is invalid: {e:?}"))
        .and_then(|name_of: ServiceName| {
            node.service_builder(&name_of)
                .publish_subscribe::<P>()
                .max_publishers(1)
                .max_subscribers(limits.subscribers)
                .subscriber_max_buffer_size(limits.buffer)
                .enable_safe_overflow(true)
                .open_or_create()
                .map_err(|e| format!("the service {name} cannot be opened: {e:?}"))
        })?;
    service
        .publisher_builder()
        .backpressure_strategy(BackpressureStrategy::DiscardData)
        .create()
        .map_err(|e| format!("the service {name} accepts no further publisher: {e:?}"))
}

impl Publishers {
    fn open(prefix: &str, limits: &Limits) -> Result<Self, String> {
        let node = node()?;
        Ok(Self {
            tick: publisher(&node, prefix, "tick", limits)?,
            trade: publisher(&node, prefix, "trade", limits)?,
            bbo: publisher(&node, prefix, "bbo", limits)?,
            status: publisher(&node, prefix, "status", limits)?,
            book: publisher(&node, prefix, "book", limits)?,
            sent: HashSet::new(),
            books: Vec::new(),
            _node: node,
        })
    }

    /// Sends the records, then the complete book of each instrument whose book has changed.
    unsafe fn publish(&mut self, records: &Records) -> Result<(), String> {
        self.sent.clear();
        self.books.clear();
        for n in 0..records.count {
            let at = unsafe { records.slot(n) };
            let entry = unsafe { records.entry(at) };
            match unsafe { *at.add(4) } {
                KIND_TICK => unsafe { send(&self.tick, at, RECORD, entry) }?,
                KIND_TRADE => unsafe { send(&self.trade, at, RECORD, entry) }?,
                KIND_BBO => unsafe { send(&self.bbo, at, RECORD, entry) }?,
                KIND_STATUS => unsafe { send(&self.status, at, RECORD, entry) }?,
                KIND_BOOK => {
                    let instrument = unsafe { at.add(8).cast::<u32>().read() };
                    if self.sent.insert(instrument) {
                        self.books.push(instrument);
                    }
                }
                _ => {}
            }
        }
        for instrument in &self.books {
            let entry = unsafe { records.entries.add(*instrument as usize * ENTRY) };
            unsafe { send(&self.book, entry.add(BOOK_AT), BOOK, entry) }?;
        }
        Ok(())
    }
}

/// Position of `count` records from slot `first` on; `mask` is the number of slots minus one.
struct Records {
    slots: *const u8,
    mask: usize,
    first: usize,
    count: usize,
    entries: *const u8,
}

impl Records {
    unsafe fn slot(&self, n: usize) -> *const u8 {
        unsafe { self.slots.add(((self.first + n) & self.mask) * RECORD) }
    }

    unsafe fn entry(&self, at: *const u8) -> *const u8 {
        let instrument = unsafe { at.add(8).cast::<u32>().read() };
        unsafe { self.entries.add(instrument as usize * ENTRY) }
    }
}

/// Loans a sample in shared memory, writes the record into it and sends it.
unsafe fn send<P: Payload>(
    to: &Out<P>,
    from: *const u8,
    bytes: usize,
    entry: *const u8,
) -> Result<(), String> {
    let mut sample = to.loan_uninit().map_err(|e| format!("a sample cannot be loaned: {e:?}"))?;
    let into = sample.payload_mut() as *mut MaybeUninit<P> as *mut u8;
    unsafe {
        core::ptr::copy_nonoverlapping(from, into, bytes);
        core::ptr::copy_nonoverlapping(entry.add(SYMBOL_AT), into.add(bytes), 16);
        core::ptr::copy_nonoverlapping(entry.add(SCALES_AT), into.add(bytes + 16), 8);
        sample.assume_init()
    }
    .send()
    .map(|_| ())
    .map_err(|e| format!("a sample cannot be sent: {e:?}"))
}

/// Runs `act`. On an error, writes its zero-terminated text into the caller's buffer.
unsafe fn guarded<T>(
    error: *mut u8,
    bytes: usize,
    act: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| Err("it panicked".into()));
    match done {
        Ok(value) => Some(value),
        Err(text) => {
            let length = text.len().min(bytes.saturating_sub(1));
            unsafe {
                core::ptr::copy_nonoverlapping(text.as_ptr(), error, length);
                *error.add(length) = 0;
            }
            None
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn tapedeck_iceoryx2_interface() -> u32 {
    INTERFACE
}

#[unsafe(no_mangle)]
pub extern "C" fn tapedeck_iceoryx2_version() -> *const c_char {
    ICEORYX2.as_ptr()
}

/// Opens the services `PREFIX/tick` and so on for publishing. Returns null on an error.
///
/// # Safety
/// Each pointer is valid for the length that follows it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapedeck_iceoryx2_open(
    prefix: *const u8,
    prefix_bytes: usize,
    subscribers: u32,
    buffer: u32,
    error: *mut u8,
    error_bytes: usize,
) -> *mut Publishers {
    let limits = Limits { subscribers: subscribers as usize, buffer: buffer as usize };
    let opened = unsafe {
        guarded(error, error_bytes, || {
            let prefix = core::str::from_utf8(slice::from_raw_parts(prefix, prefix_bytes))
                .map_err(|e| e.to_string())?;
            Publishers::open(prefix, &limits)
        })
    };
    opened.map_or(core::ptr::null_mut(), |p| Box::into_raw(Box::new(p)))
}

/// Sends `count` records. Returns 0 on success, 1 on an error.
///
/// # Safety
/// `to` comes from `open`; `slots` and `entries` have the layout of protocol/ring.md.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapedeck_iceoryx2_publish(
    to: *mut Publishers,
    slots: *const u8,
    mask: u32,
    first: u32,
    count: u32,
    entries: *const u8,
    error: *mut u8,
    error_bytes: usize,
) -> u32 {
    let records = Records {
        slots,
        mask: mask as usize,
        first: first as usize,
        count: count as usize,
        entries,
    };
    let done = unsafe { guarded(error, error_bytes, || (*to).publish(&records)) };
    u32::from(done.is_none())
}

/// # Safety
/// `publishers` comes from `open`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapedeck_iceoryx2_close(publishers: *mut Publishers) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(publishers) })));
}

/// A subscriber of ticks, for the benchmark of a reader that calls through bun:ffi.
pub struct Ticks {
    from: In<Tick>,
    _node: Node<ipc::Service>,
}

/// # Safety
/// Each pointer is valid for the length that follows it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapedeck_iceoryx2_subscribe(
    prefix: *const u8,
    prefix_bytes: usize,
    error: *mut u8,
    error_bytes: usize,
) -> *mut Ticks {
    let opened = unsafe {
        guarded(error, error_bytes, || {
            let prefix = core::str::from_utf8(slice::from_raw_parts(prefix, prefix_bytes))
                .map_err(|e| e.to_string())?;
            let node = node()?;
            let name: ServiceName = format!("{prefix}/tick")
                .as_str()
                .try_into()
                .map_err(|e| format!("{e:?}"))?;
            let service = node.service_builder(&name).publish_subscribe::<Tick>();
            let service = service.open().map_err(|e| format!("{e:?}"))?;
            let from = service.subscriber_builder().create().map_err(|e| format!("{e:?}"))?;
            Ok(Ticks { from, _node: node })
        })
    };
    opened.map_or(core::ptr::null_mut(), |t| Box::into_raw(Box::new(t)))
}

/// Copies the first 128 bytes of the next tick to `to`. Returns 1; 0 if there is none; 2 on an error.
///
/// # Safety
/// `from` comes from `subscribe`; `to` has room for 128 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapedeck_iceoryx2_receive(from: *mut Ticks, to: *mut u8) -> u32 {
    match unsafe { (*from).from.receive() } {
        Ok(Some(sample)) => {
            let words = sample.payload().words.as_ptr().cast::<u8>();
            unsafe { core::ptr::copy_nonoverlapping(words, to, RECORD) };
            1
        }
        Ok(None) => 0,
        Err(_) => 2,
    }
}

/// # Safety
/// `ticks` comes from `subscribe`, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tapedeck_iceoryx2_unsubscribe(ticks: *mut Ticks) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(ticks) })));
}
