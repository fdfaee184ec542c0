/** Compares protocol/README.md with the code, and checks that titles of these tests cite its rules. */

import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';

import { readGoldenFrames } from '../support/golden';
import { generatedParts, withParts } from '../support/protocol-tables';

const readme = readFileSync(`${import.meta.dir}/../../protocol/README.md`, 'utf8');
const rules = new Set([...readme.matchAll(/^\*\*\[([A-Z]\d+)\]\*\*/gm)].map((m) => m[1]!));

/** Prettier pads tables; only the text counts. */
function plain(markdown: string): string[] {
  return markdown
    .split('\n')
    .map((line) => line.replaceAll(/-{3,}/g, '---').replaceAll(/\s+/g, ' ').trim())
    .filter((line) => line !== '');
}

describe('protocol/README.md', () => {
  test('[W4] its tables equal the code (otherwise run: bun test/support/protocol-tables.ts)', () => {
    expect(plain(readme)).toEqual(plain(withParts(readme, generatedParts())));
  });

  test('[W4] the bytes that it explains equal the golden frames', () => {
    const explained = [...readme.matchAll(/```text\n(91 {10}[^`]*)```/g)].map((m) =>
      m[1]!
        .split('\n')
        .map((line) => line.slice(0, 36).replaceAll(' ', ''))
        .join(''),
    );
    const hexes = ['subscribe', 'tick', 'book-delta'].map(
      (name) => readGoldenFrames().find((frame) => frame.name === name)?.hex,
    );
    expect(explained).toEqual(hexes as string[]);
  });

  test('[W13] each rule is defined once, and only existing rules are cited', () => {
    const opened = [...readme.matchAll(/^\*\*\[([A-Z]\d+)\]\*\*/gm)];
    expect(opened.length).toBe(rules.size);
    for (const [, cited] of readme.matchAll(/\[([A-Z]\d+)\]/g))
      expect([...rules]).toContain(cited!);
  });

  test('[W13] the titles of the protocol tests cite existing rules', () => {
    for (const file of readdirSync(import.meta.dir)) {
      const titles = readFileSync(`${import.meta.dir}/${file}`, 'utf8').matchAll(
        /test\(\s*['`]([^\n]*)/g,
      );
      for (const [, title] of titles) {
        const cited = [...title!.matchAll(/\[([A-Z]\d+)\]/g)].map((m) => m[1]!);
        expect(cited.length).toBeGreaterThan(0);
        for (const rule of cited) expect([...rules]).toContain(rule);
      }
    }
  });
});
