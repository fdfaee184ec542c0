/** Thread messages: what the main thread and the writer thread send each other. */

import type { RowFrame } from './row-frame';
import type { WriteFailure, WriterSettings } from './writer';

export type ToWriter =
  | { readonly type: 'open'; readonly settings: WriterSettings }
  | { readonly type: 'frame'; readonly frame: RowFrame }
  | { readonly type: 'close' };

export type FromWriter =
  | { readonly type: 'committed'; readonly frames: number; readonly tookMs: number }
  | { readonly type: 'failed'; readonly failure: WriteFailure }
  | { readonly type: 'bookless'; readonly instruments: readonly number[] }
  | { readonly type: 'closed'; readonly failure?: WriteFailure };
