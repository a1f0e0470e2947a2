// What help changed for those who got it: conversion, abandonment and money, against those who were held out.
import type { Effects as Found, HelpEffect } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { points } from '../charts/intervals.tsx'
import { Card, Receipt, Table } from '../parts.tsx'
import { since } from '../route.ts'
import { counted, named, number, share } from '../words.ts'

const money = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 })

export function Earned() {
  const body = { window: since() }
  const effects = useAnswer<Found>('/api/analytics/effects', body)
  return (
    <Card title="What it earned" isWide>
      <Answer of={effects}>
        {({ effects: found, treatedCount, holdoutCount, receipt }) => (
          <>
            {treatedCount + holdoutCount ? (
              <>
                <p>{counted(treatedCount, 'user')} got help, {number(holdoutCount)} were held out. What they did in the 7 days after counts.</p>
                <Table
                  caption="Users who got help against those who were held out"
                  rows={found}
                  columns={[
                    { name: 'Figure', of: ({ name, of }) => (name === 'revenue' ? `Money per user, ${of || 'no currency'}` : named(name)) },
                    { name: 'Helped', of: (each) => told(each, each.treated), isNumber: true },
                    { name: 'Held out', of: (each) => told(each, each.holdout), isNumber: true },
                    { name: 'Difference', of: (each) => (each.difference === null ? 'not enough data yet' : moved(each, each.difference)), isNumber: true },
                    { name: '95% interval', of: (each) => (each.difference === null ? '' : `${moved(each, each.lower)} to ${moved(each, each.upper)}`), isNumber: true },
                  ]}
                />
              </>
            ) : (
              <Empty>Nobody came to a side of the experiment in these days.</Empty>
            )}
            <Receipt of={receipt} question="effects" body={body} />
          </>
        )}
      </Answer>
    </Card>
  )
}

function told({ name, of }: HelpEffect, value: number | null): string {
  if (value === null) return ''
  return name === 'revenue' ? `${money.format(value)} ${of}`.trim() : share(value)
}

const moved = (effect: HelpEffect, value: number | null): string => (effect.name === 'revenue' || value === null ? told(effect, value) : points(value))
