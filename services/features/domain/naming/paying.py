"""Names that mean paying, in many languages."""
# ruff: noqa: RUF001 - letters of all alphabets stand here as they are

from functools import lru_cache
from typing import Final

from services.features.domain.naming.words import folded, words

_WORDS: Final = """
pay payment payments payed paid paying paypal applepay googlepay checkout order orders ordering cart basket bag billing
card buy buying bought purchase purchases invoice iban sepa klarna stripe visa mastercard transaction
kasse zahlung zahlungen zahlen bezahlen bezahlung zahlungsart warenkorb einkaufswagen bestellung bestellen kaufen kauf
karte kreditkarte rechnung überweisung lastschrift
paiement paiements payer panier commande commander achat acheter carte caisse facture facturation
pago pagos pagar carrito cesta pedido pedidos compra comprar tarjeta factura
pagamento pagamenti paga carrello cassa ordine ordina acquisto acquista carta fattura
carrinho encomenda cartão fatura
betaling betalen winkelwagen winkelmand bestelling afrekenen kopen kaart factuur
betalning betala kassa varukorg beställning köp köpa kort faktura
betal indkøbskurv bestilling køb handlekurv kjøp
maksu maksa kassalle ostoskori tilaus osta kortti lasku
płatność płatności zapłać koszyk zamówienie zamów kup kupuj karta faktura
platba zaplatit košík objednávka objednat koupit pokladna
fizetés kosár rendelés vásárlás kártya plată plata coș comandă cumpără
plaćanje košarica narudžba kupi ödeme öde sepet sipariş satın kart
оплата оплатить платёж корзина заказ заказать купить карта счёт оплатити кошик замовлення купити плащане количка поръчка
πληρωμή καλάθι παραγγελία αγορά κάρτα
دفع الدفع شراء سلة طلب بطاقة پرداخت خرید סל תשלום קנייה הזמנה
भुगतान खरीदें कार्ट
bayar pembayaran keranjang pesanan beli thanh toán mua giỏ
"""
_WITHIN: Final = """
支払 決済 購入 注文 カート レジ 支付 付款 购买 購買 购物车 購物車 订单 訂單 结账 結帳
결제 구매 장바구니 주문 ชำระเงิน สั่งซื้อ ตะกร้า
"""

_words = frozenset(folded(word) for word in _WORDS.split())
_within = tuple(folded(word) for word in _WITHIN.split())


@lru_cache(maxsize=1024)
def names_paying(name: str) -> bool:
    """Whether a page's or target's name has a word that means paying: `/checkout/step-2`, `zahlungForm`."""
    parts = words(name)
    if not _words.isdisjoint(parts):
        return True
    return any(part in word for word in parts if not word.isascii() for part in _within)
