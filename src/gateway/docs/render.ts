/**
 * Render: one Markdown document as HTML. Links to other documents lead to their pages. A link to something
 * that the server does not serve (sources, pictures, addresses without TLS) becomes plain text, so a page
 * has no dead link and loads nothing from other servers. HTML in a document is displayed as text.
 */

import { Lexer, Parser, Renderer, type Token, type Tokens } from 'marked';
import { posix } from 'node:path';

import type { DocumentFile } from '../../base/contracts/documents';

/**
 * Yields after each block and each line of text, so that a long document can be rendered in slices.
 * @param pathOf returns the page of a file of the repository, if it has one
 */
export function* renderDocument(
  document: DocumentFile,
  pathOf: (file: string) => string | undefined,
): Generator<undefined, string> {
  const renderer = new DocumentRenderer(document.file, pathOf);
  const parser = new Parser({ renderer });
  let html = '';
  for (const section of sectionsOf(document.text)) {
    for (const block of yield* blocksOf(section)) {
      html += parser.parse([block]);
      yield;
    }
  }
  // A wide table has its own scroll bar.
  return html
    .replaceAll('<table>', '<div class="wide"><table>')
    .replaceAll('</table>', '</table></div>');
}

/** What `lexer.lex` does, but yields between the texts of a section: cells of a table, items of a list. */
function* blocksOf(section: string): Generator<undefined, Token[]> {
  const lexer = new Lexer();
  lexer.blockTokens(section, lexer.tokens);
  yield;
  for (const { src, tokens } of lexer.inlineQueue) {
    lexer.inlineTokens(src, tokens);
    yield;
  }
  return lexer.tokens;
}

export function titleOf({ text, file }: DocumentFile): string {
  return /^# (.+)/.exec(text)?.[1] ?? file;
}

export function escapeHtml(text: string): string {
  return Bun.escapeHTML(text);
}

class DocumentRenderer extends Renderer {
  private readonly file: string;
  private readonly pathOf: (file: string) => string | undefined;
  /** Ids of headings, and how often each was used. */
  private readonly ids = new Map<string, number>();

  constructor(file: string, pathOf: (file: string) => string | undefined) {
    super();
    this.file = file;
    this.pathOf = pathOf;
  }

  override heading({ tokens, depth }: Tokens.Heading): string {
    const plain = this.parser.parseInline(tokens, this.parser.textRenderer);
    const id = this.newId(plain);
    return `<h${depth} id="${escapeHtml(id)}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
  }

  override link({ href, tokens }: Tokens.Link): string {
    const text = this.parser.parseInline(tokens);
    const address = this.addressOf(href);
    if (address !== undefined) return `<a href="${escapeHtml(address)}">${text}</a>`;
    return `<span class="source" title="${escapeHtml(href)}">${text}</span>`;
  }

  override image({ text, href }: Tokens.Image): string {
    return `<span class="source" title="${escapeHtml(href)}">${escapeHtml(text)}</span>`;
  }

  override html({ text }: Tokens.HTML | Tokens.Tag): string {
    return text.startsWith('<!--') ? '' : escapeHtml(text);
  }

  /** Target of a link on this server or over TLS; undefined if it has neither. */
  private addressOf(href: string): string | undefined {
    if (href.startsWith('#') || href.startsWith('https://')) return href;
    if (/^[a-z]+:/i.test(href)) return undefined;
    const [target = '', fragment] = href.split('#');
    const path = this.pathOf(posix.join(posix.dirname(this.file), target));
    return path === undefined || fragment === undefined ? path : `${path}#${fragment}`;
  }

  /** Ids are formed as GitHub forms them, so that links with fragments work in both. */
  private newId(heading: string): string {
    const id = heading
      .toLowerCase()
      .replaceAll(/&[a-z0-9#]+;|[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    const count = this.ids.get(id) ?? 0;
    this.ids.set(id, count + 1);
    return count === 0 ? id : `${id}-${count}`;
  }
}

/** Splits a document before its headings. Lines in code blocks that look like headings do not count. */
function sectionsOf(text: string): string[] {
  const sections: string[] = [];
  let lines: string[] = [];
  let isCode = false;
  for (const line of text.split('\n')) {
    if (/^\s*(```|~~~)/.test(line)) isCode = !isCode;
    if (!isCode && /^#{1,4} /.test(line)) {
      sections.push(lines.join('\n'));
      lines = [];
    }
    lines.push(line);
  }
  sections.push(lines.join('\n'));
  return sections;
}
