/**
 * Documents: the documents of the project as pages. A page is rendered on its first request; the caller
 * caches it (rest/page-files.ts). The Markdown library and the texts are loaded with the first page, so a
 * server without such requests does not hold them. Bounded: by the list of documents.
 */

import type { DocumentFile } from '../../base/contracts/documents';
import type { SliceQueue } from '../../base/slice-queue';

export class Documents {
  private readonly load: () => Promise<readonly DocumentFile[]>;
  private readonly slices: SliceQueue;

  /** @param load returns the documents in the order of the list */
  constructor(load: () => Promise<readonly DocumentFile[]>, slices: SliceQueue) {
    this.load = load;
    this.slices = slices;
  }

  async has(path: string): Promise<boolean> {
    return (await this.load()).some((document) => document.path === path);
  }

  /**
   * @param template has `{{title}}`, `{{pages}}` and `{{content}}` once each
   * @returns the page as HTML; undefined if no document has this path
   */
  async page(path: string, template: string): Promise<string | undefined> {
    const documents = await this.load();
    const document = documents.find((one) => one.path === path);
    if (document === undefined) return undefined;
    const { escapeHtml, renderDocument, titleOf } = await import('./render');
    const pathOf = (file: string): string | undefined =>
      documents.find((one) => one.file === file)?.path;
    const content = await this.slices.run(renderDocument(document, pathOf));
    const parts: Readonly<Record<string, string>> = {
      title: escapeHtml(titleOf(document)),
      pages: listOf(documents, path, (one) => escapeHtml(titleOf(one))),
      content,
    };
    return template.replaceAll(/\{\{(title|pages|content)\}\}/g, (_, part: string) => parts[part]!);
  }
}

/** The list of all pages, by section. */
function listOf(
  documents: readonly DocumentFile[],
  current: string,
  titleOf: (document: DocumentFile) => string,
): string {
  const sections = Map.groupBy(documents, ({ path }) => path.split('/')[2]!);
  return [...sections]
    .map(([section, members]) => {
      const entries = members.map((document) => {
        const mark = document.path === current ? ' aria-current="page"' : '';
        return `<li><a href="${document.path}"${mark}>${titleOf(document)}</a></li>`;
      });
      return `<h2>${section}</h2><ul>${entries.join('')}</ul>`;
    })
    .join('');
}
