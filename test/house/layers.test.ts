/** House rules that a compiler does not check: who may import whom, and what is banned where. */

import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dir, '../..');
/** Runs in browsers: a client of the server like any other, served by it. */
const PAGE = 'src/gateway/page';

/** What a part may import besides itself; `any`: it joins parts. A folder that is not listed is a stage. */
const MAY_IMPORT: Readonly<Record<string, readonly string[] | 'any'>> = {
  'protocol': [],
  'src/base': ['protocol'],
  'src/log': ['protocol', 'src/base'],
  'src/config': ['protocol', 'src/base', 'src/log', 'src/broadcast'], // checks how limits relate
  [PAGE]: ['protocol', 'src/base', 'src/client/index'],
  'src/app': 'any',
  'src/cli': 'any',
  'src/deploy': 'any',
  'src/docs': 'any', // lists documents, which are beside what they describe
  'src/verify': 'any', // the journal's records, executed by the market
  'src/main': 'any',
};
/** For a stage. What it needs of another one, `src/app` passes to it. */
const STAGE_MAY_IMPORT = ['protocol', 'src/base', 'src/log/contract'];

const FILES = ['protocol', 'src', 'test'].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => name.endsWith('.ts')),
);
const SOURCES = FILES.filter((name) => !name.startsWith('test/'));

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** Code without comments and without quoted text. */
function code(file: string): string {
  return read(file)
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\/\/.*$/gm, '')
    .replaceAll(/'(?:[^'\\\n]|\\.)*'/g, "''");
}

/** The project's own files that a file imports. */
function imports(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import)\s*\(?'(\.[^']+)'/g)].map((match) =>
    relative(ROOT, resolve(ROOT, dirname(file), match[1]!)),
  );
}

/** The part to which a path belongs: `protocol`, `src/base`, `src/market`, `src/main` … */
function part(path: string): string {
  if (path.startsWith(`${PAGE}/`) && !path.endsWith('.html')) return PAGE;
  const [top, second] = path.split('/');
  return top === 'src' ? `src/${second!.replace(/\.ts$/, '')}` : top!;
}

/** Why an import breaks the layering, or undefined. */
function wrongImport(file: string, target: string): string | undefined {
  const own = part(file);
  const allowed = MAY_IMPORT[own] ?? STAGE_MAY_IMPORT;
  if (allowed === 'any') return undefined;
  const isAllowed =
    part(target) === own || allowed.some((to) => target === to || part(target) === to);
  return isAllowed ? undefined : `${file} imports ${target}`;
}

describe('layers', () => {
  test('each part imports only what the table allows', () => {
    const wrong = SOURCES.flatMap((file) =>
      imports(file)
        .map((target) => wrongImport(file, target))
        .filter((reason) => reason !== undefined),
    );
    expect(wrong).toEqual([]);
  });

  test('the check finds a stage that imports another', () => {
    expect(wrongImport('src/market/market.ts', 'src/journal/journal')).toBeDefined();
    expect(wrongImport('protocol/codec.ts', 'src/base/clock')).toBeDefined();
    expect(wrongImport('src/market/venue/venue.ts', 'src/market/output')).toBeUndefined();
    expect(wrongImport('src/app/server.ts', 'src/journal/journal')).toBeUndefined();
    expect(wrongImport('src/market/market.ts', 'src/log/contract')).toBeUndefined();
    expect(wrongImport('src/market/market.ts', 'src/log/log')).toBeDefined();
    expect(wrongImport('src/market/market.ts', 'src/version')).toBeDefined();
    expect(imports('src/app/server.ts')).toContain('src/app/recorder');
    expect(wrongImport(`${PAGE}/page.ts`, 'src/client/index')).toBeUndefined();
    expect(wrongImport(`${PAGE}/page.ts`, 'src/client/connection')).toBeDefined();
    expect(wrongImport(`${PAGE}/page.ts`, 'src/gateway/rest/queries')).toBeDefined();
    expect(wrongImport('src/gateway/rest/app.ts', `${PAGE}/page`)).toBeDefined();
  });
});

/** What may be used in certain files only. */
const BANS: readonly { what: string; pattern: RegExp; doors: readonly string[] }[] = [
  { what: 'Date.now', pattern: /\bDate\.now\b|\bnew Date\(\)/, doors: ['src/base/clock.ts'] },
  {
    what: 'performance.now',
    pattern: /\bperformance\.(now|timeOrigin)\b|Bun\.nanoseconds|process\.hrtime/,
    doors: ['src/base/clock.ts'],
  },
  {
    what: 'Math.random',
    pattern: /\bMath\.random\b|\bgetRandomValues\b|\brandom(Bytes|UUID|Int|FillSync)\b/,
    doors: ['src/base/secrets.ts'],
  },
  {
    what: 'process.env',
    pattern: /\bprocess\.env\b|\bBun\.env\b/,
    doors: ['src/config/config.ts'],
  },
];

/** How a callback of the event loop is requested. */
const ENTRIES = /\bset(Timeout|Interval|Immediate)\(|\.onmessage = /;
/** Files that run in other loops than that of a server: clients, commands and threads. */
const OTHER_LOOPS =
  /^src\/(client|cli|gateway\/page|ingest\/recording|ipc)\/|^src\/journal\/[a-z-]+-thread\.ts$/;
/** Files whose callbacks cannot take long, or are timed in another way. */
const UNTIMED: ReadonlyMap<string, string> = new Map([
  ['src/app/shutdown.ts', 'it serves nobody any more'],
  ['src/gateway/rest/requests.ts', 'what is held is let go'],
  ['src/app/checkpoint-upload.ts', 'timed by `turns`'],
  ['src/journal/history/history.ts', 'timed by `turns`, where there is one'],
  ['src/journal/write/thread-writer.ts', 'timed by meteredWriter'],
  ['src/journal/history/reader-port.ts', 'a thread of its own'],
  ['src/journal/write/wal-mover.ts', 'a thread of its own'],
  ['src/journal/verify/pool.ts', 'a command'],
]);

test('the root of src has the entry, the version and a README', () => {
  const names = readdirSync(join(ROOT, 'src'), { withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => entry.name);
  expect(files.sort()).toEqual(['README.md', 'main.ts', 'version.ts']);
});

describe('bans', () => {
  for (const { what, pattern, doors } of BANS) {
    test(`${what} is used only where allowed`, () => {
      const users = SOURCES.filter((file) => pattern.test(code(file)));
      expect(users.filter((file) => !doors.includes(file))).toEqual([]);
      for (const door of doors) expect(users).toContain(door);
    });
  }

  test('every callback of the loop of a server is a timed turn', () => {
    const own = SOURCES.filter((file) => !OTHER_LOOPS.test(file) && ENTRIES.test(code(file)));
    expect(own.filter((file) => !UNTIMED.has(file))).toEqual(['src/base/turn-meter.ts']);
    expect(own).toEqual(expect.arrayContaining([...UNTIMED.keys()]));
  });

  test('no module has state of its own', () => {
    const mutable = SOURCES.filter((file) => /^(export )?(let|var) /m.test(code(file)));
    expect(mutable).toEqual([]);
  });

  test('no file is called utils', () => {
    expect(FILES.filter((file) => /utils?\.ts$/.test(file))).toEqual([]);
  });

  test('Prettier formats everything', () => {
    const directive = ['prettier', 'ignore'].join('-');
    expect(FILES.filter((file) => read(file).includes(directive))).toEqual([]);
  });

  test('every file of the product begins with its purpose', () => {
    const silent = SOURCES.filter((file) => !/^(#!.*\n)?\/\*\*/.test(read(file)));
    expect(silent).toEqual([]);
  });
});
