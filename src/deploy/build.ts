/**
 * Build: the single executable, `build/tapedeck` or the path that is given: program, threads, pages and
 * Bun in one file, which needs neither the sources nor anything installed beside it.
 *
 * With bytecode it starts in half of the time. Minifying is for the page alone; the program starts no
 * sooner for it, and its source map keeps the names of files in stack traces. It reads no `.env` and no
 * `bunfig.toml` of the folder that it is started in: what lies there is not of the house.
 */

import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

import { THREADS } from '../journal/threads';

const out = resolve(process.argv[2] ?? join(import.meta.dir, '../../build/tapedeck'));
mkdirSync(dirname(out), { recursive: true });
// Bun puts the source maps beside the executable, which has them inside as well; and one that runs cannot
// be written over, but another can take its place.
const directory = mkdtempSync(join(dirname(out), '.build-'));
try {
  const outfile = join(directory, 'tapedeck');
  const threads = THREADS.map((name) => join(import.meta.dir, '../journal', `${name}-thread.ts`));
  await Bun.build({
    entrypoints: [join(import.meta.dir, '../main.ts'), ...threads],
    target: 'bun',
    format: 'esm',
    bytecode: true,
    minify: true,
    sourcemap: 'linked',
    // All in one folder, where src/journal/threads.ts looks for them.
    naming: { entry: '[name].[ext]' },
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false },
  });
  renameSync(outfile, out);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
process.stdout.write(`${out}\n`);
