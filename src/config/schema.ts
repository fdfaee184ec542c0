/** Schema: every setting with its bounds, its default and its description. */

import { Type, type Static, type TObject, type TProperties } from '@sinclair/typebox';

import { InstrumentSettingsSchema } from '../../protocol/instrument-settings';

function section<P extends TProperties>(properties: P): TObject<P> {
  return Type.Object(properties, { additionalProperties: false, default: {} });
}

/** A setting that may be absent. */
function countIfSet(minimum: number, maximum: number, description: string) {
  return Type.Optional(Type.Integer({ minimum, maximum, description }));
}

function file(description: string) {
  return Type.String({ default: '', description });
}

function count(value: number, minimum: number, maximum: number, description: string) {
  return Type.Integer({ default: value, minimum, maximum, description });
}

const SNAPSHOT_EVERY_MS = [
  0,
  3_600_000,
  'Between snapshots of a book that changes; 0: none',
] as const;
const SNAPSHOT_CHANGE_PERCENT = [
  1,
  1_000,
  'Change of a book that makes a snapshot at once',
] as const;

const FEED_STALE_MS = [
  0,
  86_400_000,
  'A feed that is silent for longer shows in /readyz; 0: never',
] as const;

const LATENESS_MS = [
  1,
  86_400_000,
  'A trade later than this behind the newest changes past bars only',
] as const;
const TIME_AHEAD_MS = [
  0,
  3_600_000,
  'A trade further ahead of its receipt counts by its receipt',
] as const;
/** One week; timers of the platform can wait that long. */
const SILENCE_MS_MAX = 604_800_000;

const InstrumentSetting = Type.Object(
  {
    ...InstrumentSettingsSchema.properties,
    // These override [journal].
    snapshotEveryMs: countIfSet(...SNAPSHOT_EVERY_MS),
    snapshotChangePercent: countIfSet(...SNAPSHOT_CHANGE_PERCENT),
    // These override [market].
    feedStaleMs: countIfSet(...FEED_STALE_MS),
    latenessMs: countIfSet(...LATENESS_MS),
    timeAheadMs: countIfSet(...TIME_AHEAD_MS),
  },
  { additionalProperties: false },
);

/** Every setting. A test compares the tables of the documents with it. */
export const ConfigSchema = section({
  server: section({
    host: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address to listen on' }),
    port: count(7070, 0, 65_535, 'Port to listen on; 0 picks a free one'),
    drainMs: count(5_000, 0, 600_000, 'At a stop, the longest wait for readers to have all'),
    insecure: Type.Union(
      ['never', 'without-tls', 'without-keys', 'without-keys-and-tls'].map((w) => Type.Literal(w)),
      { default: 'never', description: 'What an address that is not of this machine may lack' },
    ),
    tlsCertificate: file('Certificate (chain) in PEM; empty: no TLS'),
    tlsKey: file('Its private key in PEM'),
    hosts: Type.Array(Type.String({ pattern: '^[A-Za-z0-9._:-]{1,253}$' }), {
      default: [],
      description: 'Names that it may be asked for by, besides its own, such as md.example',
    }),
    origins: Type.Array(Type.String({ pattern: '^https?://[^/*]+$' }), {
      default: [],
      description: 'Pages of other sites that may speak for their users, such as https://a.example',
    }),
  }),
  auth: section({
    requireKey: Type.Boolean({ default: false, description: 'Also of readers on this machine' }),
    tokenAlgorithm: Type.Union(
      ['none', 'EdDSA', 'HS256'].map((w) => Type.Literal(w)),
      { default: 'none', description: 'Of the JSON Web Tokens that are accepted' },
    ),
    tokenKeyFile: file('EdDSA: public key in PEM; HS256: the secret'),
    tokenIssuer: Type.String({ default: '', description: 'What iss must be; empty: anything' }),
    tokenAudience: Type.String({ default: '', description: 'What aud must be; empty: anything' }),
  }),
  journal: section({
    directory: Type.String({ default: 'data', minLength: 1, description: 'Data directory' }),
    durability: Type.Union(
      (['async', 'commit', 'fsync', 'replicated'] as const).map((d) => Type.Literal(d)),
      { default: 'async', description: 'When a batch counts as kept' },
    ),
    commitEveryMs: count(20, 1, 10_000, 'async: longest time without a commit'),
    // These two decide how near the next snapshot is to a past book. Ticks, trades and book changes are always
    // journaled, since everything that was published can be asked for again.
    snapshotEveryMs: count(1_000, ...SNAPSHOT_EVERY_MS),
    snapshotChangePercent: count(5, ...SNAPSHOT_CHANGE_PERCENT),
    checkpointEveryEvents: count(100_000, 1_000, 100_000_000, 'Events between checkpoints'),
    queueBytesMax: count(67_108_864, 65_536, 4_294_967_296, 'The most that may wait for the disk'),
    retention: section({
      hours: count(0, 0, 1_000_000, 'Older records are deleted; 0: kept for good'),
      bytes: count(0, 0, 1e15, 'The oldest records beyond this size are deleted; 0: no bound'),
    }),
  }),
  cache: section({
    ttlMs: count(1_000, 1, 3_600_000, 'Life of an answer in L1'),
    entriesMax: count(10_000, 1, 1_000_000, 'Instruments in L1'),
    memtableEventsMax: count(50_000, 1_000, 10_000_000, 'Newest events in memory (L2)'),
    recentTradesMax: count(1_000, 10, 100_000, 'Newest trades per instrument in memory (L2)'),
    recentTradesInAllMax: count(1_000_000, 10_000, 1e9, 'Newest trades of all instruments in L2'),
  }),
  push: section({
    // Bun and many proxies end a connection that is silent for two minutes.
    heartbeatMs: count(5_000, 100, 60_000, 'Time between heartbeats'),
    backlogBytesMax: count(8_388_608, 131_072, 1_073_741_824, 'A session over this is closed'),
    outboxBytesMax: count(
      1_048_576,
      16_384,
      134_217_728,
      'What may wait of a topic for slow readers',
    ),
    logsBytesMax: count(67_108_864, 1_048_576, 1e12, 'The same of all topics together'),
    staleMs: count(500, 1, 60_000, 'What waited longer for a slow reader is conflated'),
    tradeAgeMs: count(1_000, 1, 3_600_000, 'A trade that waited longer for a slow reader is a gap'),
    lagMs: count(50, 1, 60_000, 'A pong later than this marks a slow reader'),
    pingMs: count(10_000, 100, 60_000, 'Each session is sent a ping this often, whatever else'),
    pongMs: count(30_000, 1_000, 600_000, 'A reader without a pong for so long is closed'),
    controlMs: count(30_000, 1_000, 600_000, 'Answers that wait longer close a session'),
    controlMessagesMax: count(60_000, 25_005, 10_000_000, 'More answers that wait close a session'),
  }),
  market: section({
    sessionBoundary: count(0, 0, 86_399, 'End of a session, in seconds after midnight UTC'),
    feedStaleMs: count(0, ...FEED_STALE_MS),
    feedStaleIs: Type.Union([Type.Literal('warning'), Type.Literal('not-ready')], {
      default: 'warning',
      description: 'How /readyz reports such a feed: as a warning, or with 503',
    }),
    latenessMs: count(60_000, ...LATENESS_MS),
    timeAheadMs: count(10_000, ...TIME_AHEAD_MS),
    takeoverMs: count(
      2_000,
      100,
      60_000,
      'A publisher that is silent for so long when asked yields to another session of its key',
    ),
    requestsHoldMs: count(
      10_000,
      1,
      SILENCE_MS_MAX,
      'A REST source silent for longer may be followed by another',
    ),
    requestsIdleMs: count(
      86_400_000,
      1,
      SILENCE_MS_MAX,
      'A REST source silent for longer is gone: its instruments are stale',
    ),
  }),
  limits: section({
    endedOrdersMax: count(100_000, 100, 10_000_000, 'Orders kept after their end'),
    openOrdersPerOwnerMax: count(100_000, 1, 10_000_000, 'Open orders of one key'),
    // A sixteenth of what a side of a book holds, which is 2^53 - 1.
    openQuantityPerOwnerMax: count(
      562_949_953_421_311,
      1,
      Number.MAX_SAFE_INTEGER,
      'Open quantity of one key on a side of a book, as a scaled integer',
    ),
    fillsMax: count(250, 1, 1_000_000, 'Resting orders that one command may trade with'),
    instrumentsMax: count(10_000, 1, 1_000_000, 'Instruments'),
    levelsMax: count(20_000_000, 100_000, 1e9, 'Levels in all books that are fed'),
    levelsPerKeyMax: count(10_000_000, 100_000, 1e9, 'The same of one key, or one address without'),
    instrumentsPerKeyMax: count(5_000, 1, 1_000_000, 'Those that one key has defined'),
    bookDepthMax: count(5_000, 10, 100_000, 'Levels a side of one REST answer'),
    tradesMax: count(1_000, 1, 10_000, 'Trades or ticks of one REST answer'),
    barsMax: count(1_000, 1, 10_000, 'Bars of one REST answer'),
    barTradesMax: count(5_000_000, 1_000, 1e9, 'Trades read for one answer of bars'),
    pastQueriesMax: count(64, 1, 10_000, 'Questions about the past under way'),
    pastQueriesPerClientMax: count(32, 1, 10_000, 'The same of one key, or one address without'),
    requestsPerSecond: count(5_000, 1, 1e9, 'REST requests of one key, or one other address'),
    localRequestsPerSecond: count(1_000_000, 1, 1e9, 'REST requests of this machine'),
    waitingRequestsMax: count(10_000, 1, 1_000_000, 'Orders and tapes over REST under way'),
    waitingRequestsPerClientMax: count(1_000, 1, 1_000_000, 'The same of one key, or one address'),
    playbacksMax: count(64, 1, 10_000, 'Replays at once, and as many resumes beside them'),
    playbacksPerClientMax: count(32, 1, 10_000, 'The same of one key, or one address without'),
    playbackIdleMs: count(
      30_000,
      100,
      86_400_000,
      'A replay that is not read longer yields its slot',
    ),
    playbackWaitMs: count(
      120_000,
      100,
      86_400_000,
      'A replay or resume that waits longer is refused',
    ),
    sessionsMax: count(10_000, 1, 1_000_000, 'WebSocket connections'),
    sessionsForKeysPercent: count(1, 0, 90, 'Of sessionsMax, kept for clients with a key'),
    sessionsPerAddressMax: count(2_000, 1, 1_000_000, 'WebSocket connections of one address'),
    sessionsPerKeyMax: count(1_000, 1, 1_000_000, 'WebSocket connections of one key'),
    helloMs: count(10_000, 100, 600_000, 'Longest wait for a key, where one is needed'),
    messagesPerSecond: count(20_000, 1, 1e9, 'Messages from one connection'),
    bytesPerSecond: count(4_194_304, 1_024, 1e12, 'Bytes from one connection'),
    publishBytesPerSecond: count(67_108_864, 1_024, 1e12, 'The same of one that may publish'),
    controlFramesPerSecond: count(1_000, 10, 1e9, 'WebSocket pings from one connection'),
    workPerSecond: count(50_000, 10_000, 1e9, 'Microseconds of work for one key or address'),
    publishWorkPerSecond: count(
      500_000,
      10_000,
      1e9,
      'The same of what it publishes, and of frames with orders',
    ),
    wrongKeysPerSecond: count(500, 1, 1e9, 'Wrong keys and tokens of one address that are checked'),
    pastBlocksMax: count(256, 16, 1_000_000, 'Blocks of the journal read for one answer'),
    ordersPerSecond: count(1_000, 1, 1e9, 'Orders, amendments and cancels of one key'),
    topicsMax: count(10_000, 1, 1_000_000, 'Topics of one session'),
    frameBytesMax: count(1_048_576, 1_024, 16_777_216, 'Largest frame from a client'),
    bodyBytesMax: count(16_777_216, 1_024, 1_073_741_824, 'Largest body of a REST request'),
    bodiesBytesMax: count(268_435_456, 1_024, 1e12, 'Bodies that are being read, in all'),
    requestSeconds: count(30, 1, 255, 'A request that is not done in this time is cut off'),
    clientBytesMax: count(
      1_073_741_824,
      33_554_432,
      1e12,
      'Bytes that all clients may make it hold',
    ),
    clientBytesPerClientMax: count(
      268_435_456,
      16_777_216,
      1e12,
      'The same of one key, or one address',
    ),
    heldBytesMax: count(1_048_576, 65_536, 1_073_741_824, 'Requests of a session behind an answer'),
    waitingEventsMax: count(200_000, 10_000, 10_000_000, 'Source events waiting for a turn'),
    batchEventsMax: count(2_000, 1, 1_000_000, 'Source events taken in one turn'),
  }),
  ipc: section({
    ring: section({
      enabled: Type.Boolean({ default: false, description: 'Shared memory for readers here' }),
      path: Type.String({
        default: '',
        description: 'Its file; empty: tapedeck.ring in the private runtime directory of this user',
      }),
      group: Type.String({
        default: '',
        pattern: '^[A-Za-z0-9._-]{0,64}$',
        description: 'Group that may read it, and so write it; empty: its owner alone',
      }),
      slots: count(65_536, 64, 16_777_216, 'Records in the ring, of 128 bytes; a power of two'),
    }),
    iceoryx2: section({
      enabled: Type.Boolean({ default: false, description: 'Publishes through iceoryx2' }),
      library: Type.String({
        default: '',
        description: 'Empty: what build:iceoryx2 built, or beside the executable',
      }),
      service: Type.String({ default: 'tapedeck', pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,99}$' }),
      subscribersMax: count(16, 1, 1_000, 'Subscribers of each service'),
      bufferRecords: count(1_024, 1, 1_000_000, 'Newest records kept for each subscriber'),
    }),
  }),
  cluster: section({
    name: Type.String({
      default: '',
      pattern: '^[A-Za-z0-9_-]{0,32}$',
      description: 'Of the cluster that this server belongs to; empty: none',
    }),
    role: Type.Union(
      (['leader', 'standby', 'edge'] as const).map((role) => Type.Literal(role)),
      { default: 'leader', description: 'edge never leads; only leader begins a new cluster' },
    ),
    shard: Type.String({
      default: '',
      pattern: '^[A-Za-z0-9_-]{0,32}$',
      description: 'Shard of the cluster that this member serves; empty: it has no shards',
    }),
    shards: Type.Array(Type.String({ pattern: '^[A-Za-z0-9_-]{1,32}$' }), {
      default: [],
      maxItems: 64,
      description: 'Of an edge: the shards that it follows, in place of shard',
    }),
    symbols: Type.Array(Type.String({ pattern: '^[A-Za-z0-9._*-]{1,16}$' }), {
      default: [],
      description: 'Of a leader or standby of a shard: its symbols; * stands for any characters',
    }),
    member: Type.String({
      default: '',
      pattern: '^[A-Za-z0-9_.:-]{0,64}$',
      description: 'Name of this server among the members; empty: its host and port',
    }),
    url: Type.String({
      default: '',
      pattern: '^(https?://[^\\s/]+)?$',
      maxLength: 256,
      description: 'Where clients reach this server, for the other members; empty: not announced',
    }),
    servers: Type.Array(Type.String({ pattern: '^(nats|tls)://[^\\s,/]+$' }), {
      default: [],
      description: 'Of NATS, such as nats://127.0.0.1:4222',
    }),
    credentials: file('Of NATS: a .creds file; empty: none'),
    tlsAuthority: file('PEM of who signed the certificates of NATS; empty: the system says'),
    tlsCertificate: file('PEM, if NATS asks for one'),
    tlsKey: file('PEM, its key'),
    replicas: Type.Union(
      ([1, 3, 5] as const).map((n) => Type.Literal(n)),
      { default: 3, description: 'Copies of the batch log' },
    ),
    logBytesMax: count(17_179_869_184, 1_048_576, 1e15, 'The batch log keeps so many bytes'),
    logHoursMax: count(48, 1, 10_000, 'The batch log keeps so many hours'),
    checkpointBytesMax: count(
      1_073_741_824,
      1_048_576,
      1e15,
      'The broker keeps so many bytes of checkpoints',
    ),
    hubDomain: Type.String({
      default: '',
      pattern: '^[A-Za-z0-9_-]{0,64}$',
      description: 'Of an edge at a leaf node: JetStream domain of the brokers that keep the log',
    }),
    silenceMs: count(500, 300, 60_000, 'After so long without its leader another takes over'),
    behindMsMax: count(
      2_000,
      100,
      86_400_000,
      'A member that lacks events for longer is not ready: /readyz',
    ),
    leaderWaitMs: count(2_000, 100, 60_000, 'Commands wait so long for a leader'),
    queueBytesMax: count(67_108_864, 1_048_576, 4_294_967_296, 'The most that may wait for NATS'),
    checkpointEveryMs: count(60_000, 1_000, 86_400_000, 'Between checkpoints for new members'),
  }),
  demo: section({
    ordersPerSecond: count(400, 1, 50_000, 'Orders and cancels of the demo, in all'),
    seed: count(7, 1, 1_000_000, 'The same seed gives the same flow'),
  }),
  log: section({
    level: Type.Union(
      ['silent', 'error', 'warn', 'info', 'debug'].map((level) => Type.Literal(level)),
      { default: 'info', description: 'Least severe line that is logged' },
    ),
    turnMs: count(1_000, 1, 60_000, 'A turn of the event loop that is longer is logged'),
  }),
  instruments: Type.Array(InstrumentSetting, { default: [] }),
});

export type Config = Static<typeof ConfigSchema>;
/** An instrument of the settings, with members that only the settings have. */
export type ConfiguredInstrument = Static<typeof InstrumentSetting>;
