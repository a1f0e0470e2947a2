"""Controls that are made to be clicked again and again, told by role or, as the last hint, by name.

Steppers, arrows, carousels, keypads, ratings, calendars, undo. A name tells little, so it is asked only where nobody
watched what a click did; and a name that is not known here costs one weak signal, not more (`clicks`).
"""
# ruff: noqa: RUF001 - letters of all alphabets and signs stand here as they are

import unicodedata
from functools import lru_cache
from typing import Final

from services.features.domain.event import NAME_LIMIT
from services.features.domain.names import folded, words

_ROLES: Final = """
spinbutton slider scrollbar tab option radio checkbox switch menuitem menuitemcheckbox menuitemradio treeitem
gridcell columnheader rowheader listbox combobox textbox searchbox
"""
"""ARIA roles of such controls, and of fields, in which clicks move the caret."""

_CLOSE_MARKS: Final = frozenset("×✕✖✗✘❌❎╳⨉⨯🗙🗴🗵🞨")
"""Signs that close something: clicked once, like any button."""

_EXACT: Final = """
back backward backwards backspace forward fastforward prev previous next plus minus undo redo rewind seek stepup
stepdown qty
weiter vor zurück zurueck vorwärts rückwärts rückgängig wiederholen erhöhen verringern
retour avancer reculer augmenter diminuer annuler rétablir
atrás adelante volver avanzar retroceder aumentar disminuir incrementar reducir deshacer rehacer
avanti indietro aumenta diminuisci riduci annulla ripristina
avançar voltar retroceder diminuir desfazer refazer seguinte
verder terug verhogen verlagen ongedaan
nästa tillbaka framåt öka minska ångra næste tilbage frem fortryd neste tilbake fram angre
seuraava takaisin eteenpäin vähennä kumoa
dalej wstecz wróć zwiększ zmniejsz cofnij ponów
další zpět zvýšit snížit vrátit ďalej späť vissza tovább növel csökkent visszavonás înapoi înainte
dalje natrag nazad naprijed poništi ileri geri sonraki önceki artır azalt
далее дальше вперёд назад увеличить уменьшить отменить повторить далі збільшити зменшити скасувати напред
πίσω εμπρός αύξηση μείωση αναίρεση
التالي السابق رجوع زيادة تقليل تراجع بعدی قبلی بازگشت افزایش کاهش واگرد הבא הקודם חזור אחורה קדימה בטל
अगला पिछला वापस आगे
berikutnya selanjutnya seterusnya sebelumnya kembali lanjut maju
tiếp trước tăng giảm
"""
_STEMS: Final = """
increment decrement increase decrease prevpage prevbtn prevbutton nextpage nextbtn nextbutton nextslide prevslide
carousel slide calendar datepicker monthpicker toggle switch zoom volume chevron caret arrow stepper spinner spinbutton
pagina pager keypad numpad dialpad pinpad quantit stars plusbtn plusbutton minusbtn minusbutton scrub
nächst vorherig vorig kalender karussell schieberegler lautstärke tastenfeld anzahl menge sterne pfeil
suivant précédent calendrier carrousel curseur étoiles flèche clavier
siguient anterior próxim calendario cantidad estrellas flecha teclado deslizador
successiv precedent prossim stelle freccia tastier estrelas seta
volgend sterren pijl aantal föregående forrige edellinen stjärnor
następn poprzedn strzałk kalendarz gwiazdk ilość předchoz predchádzajúc následuj šipk hvězdič množstv
következő előző naptár următor sljedeć sledeć prethodn
следующ предыдущ наступн попередн следващ предишн календар стрелк звёзд звезд количеств
επόμεν προηγούμεν
"""
_ENDS: Final = "next prev previous plus minus chevron slider carousel stepper picker"
_WITHIN: Final = """
次へ 次の 前へ 前の 戻る 進む 増やす 減らす 元に戻 やり直 矢印 カレンダー 数量
下一 上一 后退 前进 後退 前進 增加 减少 減少 撤销 撤消 重做 箭头 日历
다음 이전 뒤로 앞으로 증가 감소 되돌리기 화살표 달력 수량
ถัดไป ก่อนหน้า ย้อนกลับ
"""
_COUNTED: Final = """
star key digit num number day month week year hour minute date slot seat cell dot page tab option rate rating score pin
dial
stern taste ziffer nummer zahl tag monat woche jahr stunde seite punkt bewertung
étoile touche chiffre numéro jour mois semaine année page
estrella tecla dígito número día mes semana año estrela dia stella tasto cifra giorno mese
ster toets dag maand klawisz cyfra dzień den звезда день 星 日 月
"""
"""With a number beside it, one of a row of such controls: `star-4`, `day-12`. Alone it may be anything: `key`."""
_ALONE: Final = """
up down left right top bottom more less in out step spin angle star rating counter expand collapse unfold
oben unten links rechts bewertung mehr weniger haut bas gauche droite moins arriba abajo izquierda derecha más menos
su giù sinistra destra più meno cima baixo esquerda direita mais meer minder
вверх вниз влево вправо больше меньше
"""
_FILLERS: Final = "a btn button icon ico img svg link control ctrl nav the load show see view item"
"""`_ALONE` are such controls where no other words than these stand with them: `icon-right`, `Load more`."""


def _all(text: str) -> tuple[str, ...]:
    return tuple(folded(word) for word in text.split())


_roles = frozenset(_ROLES.split())
_exact, _counted = frozenset(_all(_EXACT)), frozenset(_all(_COUNTED))
_alone = frozenset(_all(_ALONE))
_beside_alone = _alone | frozenset(_all(_FILLERS))
_stems, _ends, _within = _all(_STEMS), _all(_ENDS), _all(_WITHIN)


def is_repeated_role(role: str) -> bool:
    """Whether an ARIA role, or one of several, is of a control made for repeated use."""
    return bool(role) and not _roles.isdisjoint(role[:NAME_LIMIT].lower().split())


@lru_cache(maxsize=4096)
def is_repeated_name(name: str) -> bool:
    """Whether a name hints at a control made for repeated use. Remembered: a product has few names and many clicks."""
    name = name[:NAME_LIMIT].strip()
    told = words(name)
    if not told:
        return any(not each.isspace() and each not in _CLOSE_MARKS and _is_sign(each) for each in name)
    if _is_pointed(name):
        return True
    if any(_is_hint(word) for word in told):
        return True
    if not _alone.isdisjoint(told) and _beside_alone.issuperset(told):
        return True
    return not _counted.isdisjoint(told) and any(each.isdigit() for each in name)


def _is_hint(word: str) -> bool:
    if word in _exact or word.startswith(_stems) or word.endswith(_ends):
        return True
    return not word.isascii() and any(part in word for part in _within)


def _is_sign(each: str) -> bool:
    """Whether a character shows: variation selectors and the like do not."""
    return unicodedata.category(each)[0] not in "CM"


def _is_pointed(name: str) -> bool:
    """Whether an arrow, a plus or a minus begins or ends a name, as in `More »`; a tag such as `<b>` is none."""
    if name[0] == "<" and name[-1] == ">":
        return False
    return name[-1] == "-" or _is_arrow(name[0]) or _is_arrow(name[-1])


def _is_arrow(each: str) -> bool:
    return each in "+<>−±＋＜＞﹢⁺‹›«»❮❯❰❱➕➖" or "←" <= each <= "⇿" or "▲" <= each <= "◄" or "➔" <= each <= "➾"
