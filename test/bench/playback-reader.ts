/** Reader of the playback bench: one replay at a time, counted on the socket or through the SDK. */

import { SUBPROTOCOL_MSGPACK, FrameEncoder } from '../../protocol/codec';
import type { Message } from '../../protocol/messages';
import { MsgReader } from '../../protocol/reader';
import { TapedeckClient } from '../../src/client';

export interface PlaybackJob {
  readonly url: string;
  readonly topics: readonly string[];
  readonly reader: 'raw' | 'sdk';
}

export interface PlaybackDone {
  readonly messages: number;
  readonly ms: number;
}

process.on('message', (job: PlaybackJob) => {
  void play(job);
});

async function play(job: PlaybackJob): Promise<void> {
  process.send!(await (job.reader === 'raw' ? raw(job) : sdk(job)));
}

/** The frame that ends with the answer to the start is the last. */
function raw({ url, topics }: PlaybackJob): Promise<PlaybackDone> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}v1/stream`, [SUBPROTOCOL_MSGPACK]);
  socket.binaryType = 'arraybuffer';
  const request: Message = {
    type: 'replay',
    id: 1,
    action: 'start',
    topics: [...topics],
    from: null,
    to: null,
    fromSeq: null,
    toSeq: null,
    speed: null,
    shard: null,
  };
  let messages = 0;
  let startMs = 0;
  return new Promise((resolve) => {
    socket.addEventListener('open', () => {
      startMs = performance.now();
      socket.send(new FrameEncoder().encode([request]));
    });
    socket.addEventListener('message', ({ data }: MessageEvent<ArrayBuffer>) => {
      const reader = new MsgReader(new Uint8Array(data));
      const count = reader.arrayHeader();
      reader.arrayHeader();
      const isAck = count === 1 && reader.int() === ACK;
      if (!isAck) {
        messages += count;
        return;
      }
      resolve({ messages, ms: performance.now() - startMs });
      socket.close();
    });
  });
}

const ACK = 33;

async function sdk({ url, topics }: PlaybackJob): Promise<PlaybackDone> {
  const client = await TapedeckClient.connect(url);
  const startMs = performance.now();
  let messages = 0;
  for await (const _ of client.replay({ topics })) messages += 1;
  const ms = performance.now() - startMs;
  client.close();
  return { messages, ms };
}
