"""Names read as words, in any language: controls made for repeated clicks, and paying."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.features.domain.naming.paying import names_paying
from services.features.domain.naming.repeats import is_repeated_name, is_repeated_role
from services.features.domain.naming.words import words

# ruff: noqa: RUF001 - letters of all alphabets and signs stand here as they are

REPEATED = """
+ - − – › » ‹ « ← → ↑ ▲ ▶ ◀️ ➕ ★ ★★★★☆ ⭐ • … ⌫ # * 7 0 +1 1/5 10% A+ A−
next Next nextBtn nextbtn prev previous-slide plus btnPlus btnplus BTN_PLUS quantity-minus increment stepUp stepper
chevron-right iconChevronRight24 arrow_back keyboard_arrow_down angle-right carousel slider calendar calendar-day-3
datepicker star-4 rating_star_3 key-5 digit7 day-12 month-2 page-3 dot-2 undo redo zoom-in volume toggle expand_more up
Weiter Zurück zurueck Nächste nächste-seite rückgängig erhöhen Tag-12 Stern-3 mehr
suivant précédent Annuler étoile-3 jour-4 siguiente anterior Deshacer día-3 estrella-5 avançar próximo voltar avanti
successivo volgende vorige nästa föregående næste seuraava dalej następny poprzedni další předchozí következő vissza
înapoi sonraki önceki geri далее Следующая предыдущий назад далі επόμενο πίσω التالي السابق بعدی הבא אחורה अगला
berikutnya tiếp 次へ 次のページへ 戻る 下一页 上一步 다음 이전페이지 ถัดไป
"""
EMOJI = """
⬅️ ⬆️ ⬇️ ➡️ ◀️ ▶️ ⏭️ ⏮️ ⏪️ ⏩ ↩️ ➕️ ⭐️ 🔼 1️⃣ 👍🏽 👨‍👩‍👧 ☝🏿
"""
LEARNED = """
プラス マイナス 加 减 取り消し الغاء إلغاء 三 add remove subtract addOne AddGuest children-add room_add
add_circle_outline quantity_add inc dec num-inc skip skipForward replay_10 seek-back-10 dpad-left dpadUp
ant-rate-star MuiRating-icon fa-angle-right icon-angle-left rc-input-number-handler-up page_down PageUp speed louder
stepper__button--add Naslednji prejšnji Järgmine eelmine পরবর্তী அடுத்து முந்தைய اگلا پچھلا
"""
REPEATED_PHRASES = [
    *("skip 10 seconds", "Forward 15", "Add one", "noch eins", "Guests: more", "+ Adult", "Kinder +", "font size +"),
    *("Menge erhöhen", "augmenter la quantité", "aumentar cantidad", "increase quantity", "datepicker next month"),
    *("fa fa-angle-double-left", "material-symbols add", "fas fa-caret-right", "btn btn-primary next", "Next ➡️"),
    *("nav > ul > li:nth-child(2) > button.plus", "[data-testid=next]", "Next question", "go to next page"),
    "Load more",
    "Nächste Seite",
    "Página siguiente",
    "More »",
    "› More",
    "Image 4 next",
    "Tag 12",
]
SINGLE = """
× ✕ ✖ ✖️ x X ❌ pay Pay save login submit submit-2 send checkout-step-2 kaufen Bezahlen absenden Speichern commander
enregistrer enviar guardar купить отправить 送信 購入 购买 결제 background backup api-key right-panel-pay learn-more
weiterempfehlen buy-day-pass generate-report context-menu counteroffer keyboard <button> narrow
"""
SINGLE_PHRASES = [
    "Add to cart",
    "Pay now",
    "Zur Kasse",
    "× Close",
    "Learn more",
    "Step into the shop",
    *("Weiter zur Kasse", "Next step: payment", "Plus membership", "Undo delete account", "Redo payment"),
    *(
        "Next-day delivery",
        "Plus Abo abschließen",
        "Retour gratuit",
        "Switch plan",
        "Volume discount",
        "Slide to unlock",
    ),
    *("Siguiente: pagar", "Back to school sale", "undo-delete-account", "nextStepPayment", "plus-membership"),
    *(
        "Pay now →",
        "Start trial →",
        "Continue →",
        "+ Add to cart",
        "次へ進んで申し込む",
        "下一步付款",
        "next-day-delivery",
    ),
    *("add-to-cart", "remove-address", "Skip intro and subscribe", "❌️"),
]


@pytest.mark.parametrize("name", [*REPEATED.split(), *EMOJI.split(), *LEARNED.split(), *REPEATED_PHRASES])
def test_these_are_controls_for_repeated_clicks(name: str) -> None:
    assert is_repeated_name(name)
    assert is_repeated_name(unicodedata.normalize("NFD", name))


@pytest.mark.parametrize("name", ["", *SINGLE.split(), *SINGLE_PHRASES])
def test_these_are_not(name: str) -> None:
    assert not is_repeated_name(name)


@pytest.mark.parametrize("role", ["spinbutton", "slider", "menuitemradio", "gridcell", "Tab", "button switch"])
def test_these_roles_are(role: str) -> None:
    assert is_repeated_role(role)


@pytest.mark.parametrize("role", ["", "button", "link", "presentation", "tablist"])
def test_these_roles_are_not(role: str) -> None:
    assert not is_repeated_role(role)


@pytest.mark.parametrize(
    "name",
    [
        "pay",
        "/checkout/step-2",
        "PaymentForm",
        "/#/cart",
        "card-number",
        "Jetzt kaufen",
        "/kasse",
        "warenkorb",
        "zahlungsart",
        "/panier",
        "/commande/2",
        "paiement",
        "carrito",
        "pago",
        "carrello",
        "betaling",
        "/оплата",
        "お支払い方法",
        "去结账",
        "결제하기",
    ],
)
def test_these_names_mean_paying(name: str) -> None:
    assert names_paying(name)


@pytest.mark.parametrize(
    "name", ["", "/calculator", "payload", "cardiology", "/repayment-plan"[:4], "discard", "border"]
)
def test_these_names_do_not(name: str) -> None:
    assert not names_paying(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("btnPlus-24 Zurück", ["btn", "plus", "zuruck"]),
        ("HTMLNext", ["html", "next"]),
        ("aB12cd__ef", ["a", "b", "cd", "ef"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("Straße", ["strasse"]),
        ("12 %", []),
        ("", []),
    ],
)
def test_words_end_at_case_digits_and_signs(name: str, expected: list[str]) -> None:
    assert words(name) == expected


@given(st.text(max_size=300))
def test_any_name_has_words_that_are_folded(name: str) -> None:
    for word in words(name):
        assert words(word) == [word] or not word.isascii()


@pytest.mark.parametrize("part", ["aB", "a1", "x-", "\u0301", "\u0327\u0301", "a\u0301", "ﷺ", "次", "›", "Aa\u200c"])
def test_reading_a_name_costs_no_more_than_its_length(part: str) -> None:
    def seconds(length: int) -> float:
        name = (part * length)[:length]
        runs = []
        for _ in range(5):
            begun = time.thread_time()
            for _ in range(20):
                words(name), is_repeated_name.__wrapped__(name), names_paying.__wrapped__(name)
            runs.append(time.thread_time() - begun)
        return min(runs)

    # Only the first 200 characters are read: beyond them more text costs nothing, before them not its square.
    assert seconds(200) < 40 * seconds(25)
    assert seconds(20_000) < 3 * seconds(200)
