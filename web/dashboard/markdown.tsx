// Shows the Markdown of model cards: headings, paragraphs, lists, tables, code and emphasis. Nothing in it becomes markup by itself.
import type { ComponentChildren } from 'preact'
import { Steps, stepsOf } from './charts/steps.tsx'
import { Table } from './parts.tsx'

export function Markdown({ text }: { text: string }) {
  const blocks = text.split(/\n{2,}/).map((block) => block.trim()).filter((block) => !/^(# |!\[)/.test(block))
  return <div class="prose">{blocks.map((block, index) => <Block text={block} after={(blocks[index - 1] ?? '').replace(/[#*`]/g, '').trim()} />)}</div>
}

/** A table is named after what stands before it. */
function Block({ text, after }: { text: string; after: string }) {
  const steps = stepsOf(text)
  if (steps) return <Steps of={steps} />
  if (text.startsWith('#')) return <h3>{inline(text.replace(/^#+ /, ''))}</h3>
  if (text.startsWith('|')) return <Cells lines={text.split('\n')} caption={after} />
  if (text.startsWith('- ')) return <ul>{text.slice(2).split(/\n- /).map((item) => <li>{inline(item)}</li>)}</ul>
  return <p>{inline(text)}</p>
}

function Cells({ lines, caption }: { lines: string[]; caption: string }) {
  const [heads = [], , ...rows] = lines.map((line) => line.slice(1, -1).split('|'))
  const columns = heads.map((name, index) => ({ name: name.trim() || 'Of', isNumber: index > 0, of: (row: string[]) => inline(row[index] ?? '') }))
  return <Table caption={caption} rows={rows} columns={columns} />
}

const inline = (text: string): ComponentChildren[] =>
  text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => (part.startsWith('`') ? <code>{part.slice(1, -1)}</code> : part.startsWith('**') ? <b>{part.slice(2, -2)}</b> : part))
