"""Controls made to be clicked repeatedly, recognised by role or, as a last hint, by name.

Steppers, arrows, carousels, keypads, ratings, calendars, undo. A name is weak evidence. It is used only if the effect
of a click was not watched, and only if the name says nothing else: with the word for the control there may stand
numbers, what is stepped (`Nächste Seite`, `adults-plus`), and in ids what distinguishes them; but not what is done with
it (`Weiter zur Kasse`, `undo-delete-account`). A control whose name is missing here costs no more than one weak signal
(`clicks`).
"""
# ruff: noqa: RUF001 - letters of all alphabets and signs stand here as they are

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from services.features.domain.event import NAME_LIMIT
from services.features.domain.naming.paying import names_paying
from services.features.domain.naming.words import folded, words

_ROLES: Final = """
spinbutton slider scrollbar tab option radio checkbox switch menuitem menuitemcheckbox menuitemradio treeitem
gridcell columnheader rowheader listbox combobox textbox searchbox
"""
"""ARIA roles of such controls and of fields, where clicks move the caret."""

_CLOSE_MARKS: Final = frozenset("×✕✖✗✘❌❎╳⨉⨯🗙🗴🗵🞨")
"""Signs that close something: those are clicked once, like any button."""

_EXACT: Final = """
back backward backwards backspace forward fastforward prev previous next plus minus undo redo rewind seek stepup
stepdown qty skip replay dpad subtract
weiter vor zurück zurueck vorwärts rückwärts rückgängig wiederholen erhöhen verringern
retour avancer reculer augmenter diminuer annuler rétablir
atrás adelante volver avanzar retroceder aumentar disminuir incrementar reducir deshacer rehacer
avanti indietro aumenta diminuisci riduci annulla ripristina
avançar voltar retroceder diminuir desfazer refazer seguinte
verder terug verhogen verlagen verhoog verlaag ongedaan
nästa tillbaka framåt öka minska ångra næste tilbage frem fortryd neste tilbake fram angre
øk næsta fyrri naslednji prejšnji järgmine eelmine nākamais iepriekšējais kitas ankstesnis hurrengoa aurrekoa
tjetra nesaf növbəti əvvəlki keyingi oldingi susunod nakaraan inayofuata келесі алдыңғы дараах өмнөх следно претходно
seuraava takaisin eteenpäin vähennä kumoa
dalej wstecz wróć zwiększ zmniejsz cofnij ponów
další zpět zvýšit snížit vrátit ďalej späť vissza tovább növel csökkent visszavonás înapoi înainte
dalje natrag nazad naprijed poništi ileri geri sonraki önceki artır arttır azalt
далее дальше вперёд назад увеличить уменьшить отменить повторить далі збільшити зменшити скасувати напред
πίσω εμπρός αύξηση μείωση αναίρεση
التالي السابق رجوع زيادة تقليل تراجع إلغاء
اگلا اگلی پچھلا پچھلی بعدی قبلی بازگشت افزایش کاهش واگرد הבא הקודם חזור אחורה קדימה בטל
अगला पिछला वापस आगे पुढे मागे अर्को পরবর্তী পূর্ববর্তী আগের அடுத்து அடுத்த முந்தைய மேலும் తదుపరి మునుపటి ಮುಂದೆ ಹಿಂದೆ അടുത്തത് આગળ પાછળ ਅੱਗੇ ਪਿੱਛੇ
შემდეგი წინა հաջորդ նախորդ ቀጣይ プラス マイナス 加 减 減 增 减
berikutnya selanjutnya seterusnya sebelumnya kembali lanjut maju
tiếp trước tăng giảm
"""
_STEMS: Final = """
increment decrement increase decrease prevpage prevbtn prevbutton nextpage nextbtn nextbutton nextslide prevslide
carousel slide calendar datepicker monthpicker toggle switch zoom volume checkbox
chevron caret arrow stepper spinner spinbutton
pagina pager keypad numpad dialpad pinpad quantit stars plusbtn plusbutton minusbtn minusbutton scrub
nächst vorherig vorig kalender karussell schieberegler lautstärke tastenfeld anzahl menge sterne pfeil
suivant précédent calendrier carrousel curseur étoiles flèche clavier
siguient següent anterior próxim calendario cantidad estrellas flecha teclado deslizador
successiv precedent prossim stelle freccia tastier estrelas seta
volgend sterren pijl aantal föregående forrige edellinen stjärnor
następn poprzedn strzałk kalendarz gwiazdk ilość předchoz predchádzajúc následuj šipk hvězdič množstv
következő előző naptár următor sljedeć sledeć prethodn
следующ предыдущ наступн попередн следващ предишн календар стрелк звёзд звезд количеств
επόμεν προηγούμεν
"""
_ENDS: Final = "next prev previous plus minus chevron slider carousel stepper picker"
_WITHIN: Final = """
次へ 次の 前へ 前の 戻る 進む 増やす 減らす 元に戻 やり直 取り消し 矢印 カレンダー 数量
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
add remove inc dec larger smaller bigger brighter darker louder quieter faster slower speed rate
mute shuffle loop like heart tap roll pm
oben unten links rechts bewertung mehr weniger noch haut bas gauche droite moins arriba abajo izquierda derecha
más menos su giù sinistra destra più meno cima baixo esquerda direita mais meer minder
вверх вниз влево вправо больше меньше
"""
_FILLERS: Final = """
a an the of to go by btn button icon ico img svg link control ctrl nav load show see view item
fa fas far fal fab bi mdi pi ti rc ant mui ion glyphicon circle outline input handler menu playback scroll thumbs js am
double material symbols
"""
_STEPPED: Final = """
page image picture photo slide tab row column line level question answer result post article video song track episode
chapter match month week year day hour minute second sec time date size text font amount count number num value quantity
volume zoom adult child children kid guest person people passenger traveler room night ticket seat unit one two ten
die der das den dem ein eine eins seite bild foto folie frage zeile stufe monat woche jahr tag stunde minute sekunde
menge anzahl größe schrift erwachsene kind kinder gast gäste person personen zimmer nacht nächte
la le les l de du des un une image diapositive question mois semaine année jour heure quantité adulte enfant chambre
nuit el los las del una página imagen diapositiva pregunta mes semana año día hora cantidad niño habitación noche
il lo gli di uno pagina immagine domanda mese settimana anno giorno ora quantità camera notte
o os as do da um uma imagem ano dia quantidade quarto noite
het een maken afbeelding maand jaar dag uur aantal kamer volwassene
sida bild månad år dag antal side billede bilde måned strona stronę zdjęcie miesiąc rok dzień stránka obrázek měsíc
страница страницу фото слайд вопрос месяц неделя год день количество сторінка сторінку місяць
sayfa resim ay yıl gün halaman gambar bulan theo trang oldal kép hónap σελίδα μήνας
الصفحة صفحة الصورة الشهر صفحه ماه עמוד חודש पृष्ठ
"""
"""`_ALONE` are such controls where nothing but these stands with them: `icon-right`, `Load more`, `room_add`.

So is any hint in a label, which has spaces between words.
"""
_DEEDS: Final = """
pay payment payments paying buy purchase submit confirm delete account membership member delivery subscribe subscription
register registration login signup send save trial upload download
kasse zahlung bezahlen zahlen kaufen bestellen konto mitgliedschaft löschen senden absenden speichern
paiement payer acheter commander compte supprimer envoyer pago pagar comprar cuenta eliminar enviar
pagamento pagare acquista conta elimina invia betalen betaling betala betalning оплата оплатить купить отправить
"""
"""Things a user wants to get done: fruitless clicks on them are rage, whatever other words the name has."""
_UNSEEN: Final = dict.fromkeys([0x200D, *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400)])
"""What joins emoji and chooses how they look."""
_ID_SIGNS: Final = frozenset("-_./#[]=()>:")
_SIGNS: Final = frozenset("+−±﹢⁺➕➖＋")
_SIGNED_WORDS: Final = 2
_WITHIN_SHARE: Final = 3
"""In writing without spaces a hint is no less than a third."""


def _all(text: str) -> tuple[str, ...]:
    return tuple(folded(word) for word in text.split())


_roles = frozenset(_ROLES.split())
_exact, _counted = frozenset(_all(_EXACT)), frozenset(_all(_COUNTED))
_alone = frozenset(_all(_ALONE))
_deeds = frozenset(_all(_DEEDS))
_beside_alone = (
    _alone | frozenset(_all(_FILLERS)) | frozenset(each for word in _all(_STEPPED) for each in (word, f"{word}s"))
)
_stems, _ends, _within = _all(_STEMS), _all(_ENDS), _all(_WITHIN)


def is_repeated_role(role: str) -> bool:
    """Whether an ARIA role, or one of several, is that of a control made for repeated use."""
    return bool(role) and not _roles.isdisjoint(role[:NAME_LIMIT].lower().split())


@lru_cache(maxsize=4096)
def is_repeated_name(name: str) -> bool:
    """Whether a name hints at a control made for repeated use. Cached: a product has few names and many clicks."""
    name = name[:NAME_LIMIT].translate(_UNSEEN).strip()
    parts = words(name)
    if not parts:
        return any(not each.isspace() and each not in _CLOSE_MARKS and _is_sign(each) for each in name)
    if not _deeds.isdisjoint(parts) or any(not word.isascii() and names_paying(word) for word in parts):
        return False
    if name.isnumeric() or _is_pointed(name, parts):
        return True
    return not _says_more(name) and _names_control(name, parts)


def _names_control(name: str, parts: Sequence[str]) -> bool:
    if any(_is_hint(word) for word in parts):
        return True
    if not _alone.isdisjoint(parts) and _beside_alone.issuperset(parts):
        return True
    return not _counted.isdisjoint(parts) and any(each.isdigit() for each in name)


def _is_hint(word: str) -> bool:
    if word in _exact or word.startswith(_stems) or word.endswith(_ends):
        return True
    return not word.isascii() and any(part in word and len(word) <= _WITHIN_SHARE * len(part) for part in _within)


def _is_known(word: str) -> bool:
    return len(word) == 1 or word in _beside_alone or word in _counted or _is_hint(word)


def _says_more(name: str) -> bool:
    """Whether a label of several words says more than what control it is. A list of ids, as of classes, is no label."""
    parts = name.split()
    if len(parts) == 1:
        return False
    plain = [part for part in parts if _ID_SIGNS.isdisjoint(part[:-1])]
    if len(plain) < len(parts) and name == name.lower():
        return False
    return not all(_is_known(word) for part in plain for word in words(part))


def _is_sign(each: str) -> bool:
    """Whether a character is visible; variation selectors and the like are not."""
    return unicodedata.category(each)[0] not in "CM"


def _is_pointed(name: str, parts: Sequence[str]) -> bool:
    """Whether an arrow, a plus or a minus begins or ends a name, as in `More »`, which says little else.

    A tag such as `<b>` is none. With a plus or a minus there may stand one word that is not known.
    """
    if name[0] == "<" and name[-1] == ">":
        return False
    is_signed = name[-1] == "-" or name[0] in _SIGNS or name[-1] in _SIGNS
    if not is_signed and not _is_arrow(name[0]) and not _is_arrow(name[-1]):
        return False
    unknown = sum(not _is_known(word) for word in parts)
    return unknown <= is_signed and (unknown == 0 or len(parts) <= _SIGNED_WORDS)


def _is_arrow(each: str) -> bool:
    return each in "<>＜＞‹›«»❮❯❰❱⏩⏪⏫⏬⏭⏮⬅⬆⬇🔼🔽" or "←" <= each <= "⇿" or "▲" <= each <= "◄" or "➔" <= each <= "➾"
