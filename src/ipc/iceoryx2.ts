/**
 * iceoryx2: publishes the same records as the ring to subscribers of iceoryx2 services. It calls the
 * library that src/ipc/native/iceoryx2 builds from the official crate. iceoryx2 is optional: if the
 * library is absent or has another version, or if a service cannot be opened, the server logs the
 * reason and runs without it.
 *
 * `RingWriter` encodes each batch into a ring in this process's private memory. One call passes the
 * position of the new records to the library. For each record the library loans a sample, writes it
 * in shared memory and sends it. Bounded: one call carries the records of at most `RUN_MAX` events. A
 * slow subscriber loses its oldest samples; `prevSeq` reveals the gap.
 */

import { CString, dlopen, FFIType, ptr, type Library, type Pointer } from 'bun:ffi';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { acceptBehind, NO_LAG } from '../base/accepting';
import type { EventRun } from '../base/contracts/batch';
import type {
  PublishedEvents,
  Publisher,
  PublisherLag,
  PublisherStart,
} from '../base/contracts/publisher';
import { HEADER_BYTES, ringBytes, wordsOf } from './ring-layout';
import { RingWriter } from './ring-writer';

/** Version of the C interface of src/ipc/native/iceoryx2/src/lib.rs, and of the crate behind it. */
const INTERFACE = 2;
export const ICEORYX2_VERSION = '0.10.0';
const LIBRARY_FILE = 'libtapedeck_iceoryx2.so';
const ERROR_BYTES = 512;
const SLOTS = 16_384;
/** An event takes at most eight records, so the records of a run fit into a quarter of the slots. */
const RUN_MAX = 512;

const {
  u32,
  ptr: pointer,
  buffer,
  usize,
} = { ...FFIType, buffer: FFIType.ptr, usize: FFIType.u64 };
export const ICEORYX2_SYMBOLS = {
  tapedeck_iceoryx2_interface: { args: [], returns: u32 },
  tapedeck_iceoryx2_version: { args: [], returns: pointer },
  tapedeck_iceoryx2_open: { args: [buffer, usize, u32, u32, buffer, usize], returns: pointer },
  tapedeck_iceoryx2_publish: {
    args: [pointer, buffer, u32, u32, u32, buffer, buffer, usize],
    returns: u32,
  },
  tapedeck_iceoryx2_close: { args: [pointer], returns: FFIType.void },
  tapedeck_iceoryx2_subscribe: { args: [buffer, usize, buffer, usize], returns: pointer },
  tapedeck_iceoryx2_receive: { args: [pointer, buffer], returns: u32 },
  tapedeck_iceoryx2_unsubscribe: { args: [pointer], returns: FFIType.void },
} as const;

export type Iceoryx2Library = Library<typeof ICEORYX2_SYMBOLS>;

export interface Iceoryx2Settings {
  /** Path of the library. Empty: the build directory, or the directory of the single executable. */
  readonly library: string;
  /** Prefix of the service names: `SERVICE/tick` and so on. */
  readonly service: string;
  readonly subscribersMax: number;
  readonly bufferRecords: number;
  /** Maximum number of instruments. */
  readonly entries: number;
}

/** Why iceoryx2 is unavailable, and what the operator can do about it. */
export interface Unavailable {
  readonly reason: string;
  readonly hint: string;
}

/** Default path of the library, and the hint for a library that is absent. */
const USUAL = Bun.isStandaloneExecutable
  ? {
      path: join(dirname(process.execPath), LIBRARY_FILE),
      hint: 'Put it beside the executable, or give its path as ipc.iceoryx2.library.',
    }
  : {
      path: join(import.meta.dir, '../../build/iceoryx2/release', LIBRARY_FILE),
      hint: 'Build it with "bun run build:iceoryx2", or give its path as ipc.iceoryx2.library.',
    };

/** Loads the library. Refuses one with another interface or another version of iceoryx2. */
export function loadIceoryx2(library: string): Iceoryx2Library | Unavailable {
  const path = library === '' ? USUAL.path : library;
  if (!existsSync(path)) return { reason: `there is no library ${path}`, hint: USUAL.hint };
  let loaded: Iceoryx2Library;
  try {
    loaded = dlopen(path, ICEORYX2_SYMBOLS);
  } catch (e) {
    const reason = `the library ${path} cannot be loaded: ${(e as Error).message}`;
    return { reason, hint: USUAL.hint };
  }
  const { symbols } = loaded;
  const found = symbols.tapedeck_iceoryx2_interface();
  // A CString is an object; `trim` returns a primitive string.
  const version = new CString(symbols.tapedeck_iceoryx2_version()).trim();
  if (found === INTERFACE && version === ICEORYX2_VERSION) return loaded;
  loaded.close();
  return {
    reason: `the library ${path} has iceoryx2 ${version}, interface ${found}; expected ${ICEORYX2_VERSION}, interface ${INTERFACE}`,
    hint: USUAL.hint,
  };
}

/** The zero-terminated text that the library wrote into the error buffer. */
export function errorText(error: Uint8Array): string {
  return new TextDecoder().decode(error.subarray(0, error.indexOf(0)));
}

export class Iceoryx2Publisher implements Publisher {
  readonly name = 'iceoryx2';
  private readonly library: Iceoryx2Library;
  private readonly handle: Pointer;
  private readonly writer: RingWriter;
  private readonly error: Uint8Array;
  private readonly slotsAt: Pointer;
  private readonly entriesAt: Pointer;
  private readonly errorAt: Pointer;
  private isClosed = false;

  static open(settings: Iceoryx2Settings): Iceoryx2Publisher | Unavailable {
    const library = loadIceoryx2(settings.library);
    if ('reason' in library) return library;
    // An explicit ArrayBuffer: the storage of a small typed array may move, that of a buffer does not.
    const error = new Uint8Array(new ArrayBuffer(ERROR_BYTES));
    const name = new TextEncoder().encode(settings.service);
    const handle = library.symbols.tapedeck_iceoryx2_open(
      ptr(name),
      name.length,
      settings.subscribersMax,
      settings.bufferRecords,
      ptr(error),
      ERROR_BYTES,
    );
    if (handle !== null) {
      return new Iceoryx2Publisher(library, handle as Pointer, error, settings.entries);
    }
    library.close();
    const hint = 'Another server may publish to this service: set another ipc.iceoryx2.service.';
    return { reason: `iceoryx2: ${errorText(error)}`, hint };
  }

  private constructor(
    library: Iceoryx2Library,
    handle: Pointer,
    error: Uint8Array,
    entries: number,
  ) {
    this.library = library;
    this.handle = handle;
    const shape = { slots: SLOTS, entries };
    const { slotsOffset, fileBytes } = ringBytes(shape);
    const bytes = new Uint8Array(fileBytes);
    this.writer = new RingWriter(wordsOf(bytes), shape);
    this.error = error;
    // To take a pointer costs more than the call itself. These buffers never move.
    this.slotsAt = ptr(bytes, slotsOffset);
    this.entriesAt = ptr(bytes, HEADER_BYTES);
    this.errorAt = ptr(error);
  }

  /** Records written so far. */
  get records(): number {
    return this.writer.position;
  }

  open({ newest, lastSeq }: PublisherStart): number {
    this.writer.hydrate(newest, lastSeq);
    return lastSeq;
  }

  /** @throws Error when the library cannot send; the server then continues without iceoryx2 */
  accept(run: EventRun): 'taken' {
    const { events, lastSeq } = run;
    if (events.length <= RUN_MAX) this.send(run);
    else {
      for (let i = 0; i < events.length; i += RUN_MAX) {
        this.send({ events: events.slice(i, i + RUN_MAX), lastSeq });
      }
    }
    return 'taken';
  }

  behindBy(): PublisherLag {
    return NO_LAG;
  }

  catchUp(position: number, events: PublishedEvents): Promise<number> {
    return acceptBehind(position, events, (run) => this.accept(run));
  }

  beat(): void {}

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.library.symbols.tapedeck_iceoryx2_close(this.handle);
    this.library.close();
  }

  private send(batch: EventRun): void {
    const { writer } = this;
    const first = writer.position;
    writer.accept(batch);
    const count = writer.position - first;
    if (count === 0) return;
    const failed = this.library.symbols.tapedeck_iceoryx2_publish(
      this.handle,
      this.slotsAt,
      SLOTS - 1,
      first % SLOTS,
      count,
      this.entriesAt,
      this.errorAt,
      ERROR_BYTES,
    );
    if (failed !== 0) throw new Error(`iceoryx2: ${errorText(this.error)}`);
  }
}
