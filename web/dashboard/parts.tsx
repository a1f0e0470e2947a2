// What pages are made of: figures with their tables, tables, receipts, exports, settings.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Problem, save } from './api.ts'
import type { Receipt as Said } from './answers.ts'
import { changed, go, to } from './route.ts'
import { named, number, share, time } from './words.ts'

export interface Column<T> {
  name: string
  of: (row: T) => ComponentChildren
  isNumber?: boolean
}

export function Table<T>({ rows, columns, caption }: { rows: readonly T[]; columns: readonly Column<T>[]; caption: string }) {
  return (
    <div class="wide" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>{columns.map(({ name, isNumber }) => <th scope="col" class={isNumber ? 'number' : ''}>{name}</th>)}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>{columns.map(({ of, isNumber }) => <td class={isNumber ? 'number' : ''}>{of(row)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** A chart with a sentence that says what it shows, and the same as a table. */
export function Chart<T>(props: { title: string; summary: string; rows: readonly T[]; columns: readonly Column<T>[]; children: ComponentChildren }) {
  const [isTable, setTable] = useState(false)
  return (
    <figure>
      <figcaption>
        <span>{props.summary}</span>
        <button type="button" aria-pressed={isTable} aria-label={`View as table: ${props.title}`} onClick={() => setTable(!isTable)}>
          Table
        </button>
      </figcaption>
      {isTable ? <Table rows={props.rows} columns={props.columns} caption={props.title} /> : props.children}
    </figure>
  )
}

/** A drawing as wide as there is room: children get the width in pixels. */
export function Drawing({ children }: { children: (width: number) => ComponentChildren }) {
  const box = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const watching = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)))
    if (box.current) watching.observe(box.current)
    return () => watching.disconnect()
  }, [])
  return <div class="drawing" ref={box}>{width > 0 && children(width)}</div>
}

export function Card(props: { title: string; children: ComponentChildren; side?: ComponentChildren; isWide?: boolean }) {
  return (
    <section class={props.isWide ? 'card whole' : 'card'}>
      <header>
        <h2>{props.title}</h2>
        {props.side}
      </header>
      {props.children}
    </section>
  )
}

/** What an answer rests on, and the answer as a file. */
export function Receipt({ of, question, body }: { of: Said; question: string; body: unknown }) {
  const [problem, setProblem] = useState('')
  const saved = async (format: 'csv' | 'parquet'): Promise<void> => {
    setProblem('')
    try {
      await save(question, body, format)
    } catch (error) {
      setProblem(error instanceof Problem ? error.message : String(error))
    }
  }
  return (
    <details class="receipt">
      <summary>Receipt{of.isUnfinished && ' · the last interval still grows'}</summary>
      <dl>
        <dt>Window</dt><dd>{time(of.start)} to {time(of.end)}</dd>
        <dt>Watermark</dt><dd>{of.watermark ? time(of.watermark) : 'nothing is archived'}</dd>
        <dt>Rows read</dt><dd>{number(of.rowCount)}{of.isCut && ', more than are shown'}</dd>
        <dt>Question</dt><dd><code>{of.question}</code></dd>
        <dt>Data</dt><dd><code>{of.dataVersion}</code></dd>
        <dt>SHA-256</dt><dd><code>{of.sha256}</code></dd>
      </dl>
      <p>
        <button type="button" onClick={() => saved('csv')}>Save as CSV</button>{' '}
        <button type="button" onClick={() => saved('parquet')}>Save as Parquet</button>
      </p>
      {problem && <p role="alert">{problem}</p>}
    </details>
  )
}

/** A choice that is part of the address. */
export function Choice({ label, name, value, options }: { label: string; name: string; value: string; options: readonly (string | [string, string])[] }) {
  return (
    <label class="choice">
      {label}{' '}
      <select value={value} onChange={(event) => go(changed({ [name]: event.currentTarget.value }))}>
        {options.map((option) => {
          const [key, text] = typeof option === 'string' ? [option, named(option)] : option
          return <option value={key}>{text}</option>
        })}
      </select>
    </label>
  )
}

export const User = ({ id }: { id: string }) => <a class="user" href={to('journeys', { user: id })}>{id}</a>

export const Level = ({ level, score }: { level: string; score?: number | null }) => (
  <span class={`level ${level}`}>{named(level)}{score !== undefined && score !== null && ` ${Math.round(score)}`}</span>
)

/** The actions that a decision considered, and why it did not take each. */
export const Candidates = ({ of, caption }: { of: readonly { action: string; channel: string; successProbability: number; refusal: string | null; isChosen: boolean }[]; caption: string }) => (
  <Table
    caption={caption}
    rows={of}
    columns={[
      { name: 'Action', of: ({ action }) => named(action) },
      { name: 'Channel', of: ({ channel }) => named(channel) },
      { name: 'Expected to succeed', of: ({ successProbability }) => share(successProbability), isNumber: true },
      { name: 'Why not', of: ({ refusal, isChosen }) => (isChosen ? <b>Chosen</b> : refusal ? named(refusal) : 'Another was taken') },
    ]}
  />
)
