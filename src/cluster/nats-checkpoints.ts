/** Checkpoints in an object store of NATS, one object each, named by its position: `EPOCH.SEQ`. */

import { jetstream, StorageType } from '@nats-io/jetstream';
import { Objm, type ObjectStore } from '@nats-io/obj';

import { ok, type Answer, type CheckpointStore, type StoredCheckpoint } from './broker';
import type { NatsLink } from './nats-link';
import { managerOptions } from './nats-open';
import type { NatsSettings } from './nats-settings';
import { bucketName } from './nats-stream';

/** So many stay. More than one: the newest may be replaced while a member loads the one before it. */
const KEPT = 3;
/** For a large object over a slow line. */
const OBJECT_MS = 30_000;
const NAME = /^(\d{1,16})\.(\d{1,16})$/;

export class NatsCheckpoints implements CheckpointStore {
  private readonly link: NatsLink;
  private readonly settings: NatsSettings;
  private store: ObjectStore | null = null;

  constructor(link: NatsLink, settings: NatsSettings) {
    this.link = link;
    this.settings = settings;
  }

  put(
    { epoch, seq }: { readonly epoch: number; readonly seq: number },
    content: Uint8Array,
  ): Promise<Answer<StoredCheckpoint>> {
    const name = `${epoch}.${seq}`;
    return this.link.ask(async () => {
      const store = await this.opened();
      await store.putBlob({ name }, content.slice());
      for (const old of (await listed(store)).slice(KEPT)) await store.delete(old.name);
      return { name, epoch, seq, bytes: content.length };
    }, OBJECT_MS);
  }

  list(): Promise<Answer<StoredCheckpoint[]>> {
    return this.link.ask(async () => listed(await this.opened()), OBJECT_MS);
  }

  async get(name: string): Promise<Answer<Uint8Array | null>> {
    const answer = await this.link.ask(async () => {
      const store = await this.opened();
      const result = await store.get(name);
      if (result === null) return null;
      const parts: Uint8Array[] = [];
      try {
        for await (const part of result.data as unknown as AsyncIterable<Uint8Array>) {
          parts.push(part.slice());
        }
      } catch (e) {
        // The client compares the SHA-256 at the end.
        if (e instanceof Error && e.message.includes('corrupt')) return null;
        throw e;
      }
      const content = Buffer.concat(parts);
      return new Uint8Array(content.buffer, content.byteOffset, content.length);
    }, OBJECT_MS);
    return answer.outcome === 'ok' ? ok(answer.value) : answer;
  }

  private async opened(): Promise<ObjectStore> {
    const { shard, mayCreate } = this.settings;
    const stores = new Objm(jetstream(this.link.nc, managerOptions(this.settings)));
    const name = bucketName(shard);
    // One that is there may have other limits than are asked for here.
    this.store ??= await stores.open(name).catch((e: unknown) => {
      if (!mayCreate || !String(e).includes('not found')) throw e;
      return this.created(stores, name);
    });
    return this.store;
  }

  private created(stores: Objm, name: string): Promise<ObjectStore> {
    const { replicas, checkpointBytesMax } = this.settings;
    const storage = StorageType.File;
    return stores.create(name, { storage, replicas, max_bytes: checkpointBytesMax });
  }
}

async function listed(store: ObjectStore): Promise<StoredCheckpoint[]> {
  const found: StoredCheckpoint[] = [];
  for (const { name, size, deleted } of await store.list()) {
    const [, epoch, seq] = NAME.exec(name) ?? [];
    if (deleted || epoch === undefined || seq === undefined) continue;
    found.push({ name, epoch: Number(epoch), seq: Number(seq), bytes: size });
  }
  return found.sort((a, b) => b.epoch - a.epoch || b.seq - a.seq);
}
