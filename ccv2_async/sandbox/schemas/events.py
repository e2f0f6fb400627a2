"""The bodies of events: what a request may hold and what an answer holds."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model

EVENT_ADDRESS = Model(
    "EventAddress",
    {
        "line1": Field("string"),
        "line2": Field("string"),
        "line3": Field("string"),
        "city": Field("string"),
        "state": Field("string"),
        "state_code": Field("string"),
        "country": Field("string"),
        "country_code": Field("string"),
        "postal_code": Field("string"),
        "latitude": Field("number"),
        "longitude": Field("number"),
    },
)

PAYMENT_ADDRESS = Model(
    "PaymentAddress",
    {
        "line1": Field("string"),
        "line2": Field("string"),
        "line3": Field("string"),
        "city": Field("string"),
        "state": Field("string"),
        "state_code": Field("string"),
        "country": Field("string"),
        "country_code": Field("string"),
        "postal_code": Field("string"),
        "latitude": Field("number"),
        "longitude": Field("number"),
    },
)

EVENT_CONTACT = Model(
    "EventContact",
    {
        "name": Field("string", required=True),
        "email_address": Field("string"),
        "organization_name": Field("string"),
        "phone_number": Field("string"),
    },
)

NOTIFICATION_OPTION = Model(
    "NotificationOption",
    {
        "notification_type": Field("string"),
        "is_opted_in": Field("boolean"),
    },
)

ONLINE_MEETING = Model(
    "OnlineMeeting",
    {
        "instructions": Field("string"),
        "provider_meeting_id": Field("id"),
        "provider_type": Field("string"),
        "url": Field("string"),
    },
)

TRACK_INFORMATION = Model(
    "TrackInformation",
    {
        "early_fee_date": Field("datetime"),
        "late_fee_date": Field("datetime"),
        "guest_display_label": Field("string"),
        "guest_limit": Field("integer"),
        "information_sections": Field("array", items=Field("string")),
        "is_guest_anonymous_enabled": Field("boolean"),
        "is_guest_name_required": Field("boolean"),
        "is_registration_closed_manually": Field("boolean"),
        "is_ticketing_link_displayed": Field("boolean"),
        "registration_limit_count": Field("integer"),
        "registration_limit_date": Field("datetime"),
    },
)

EVENT = Model(
    "Event",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string"),
        "title": Field("string"),
        "status": Field("string", read_only=True),
        "type": Field("string"),
        "description": Field("string"),
        "location": Field("string"),
        "start_date": Field("datetime"),
        "end_date": Field("datetime"),
        "time_zone_id": Field("string"),
        "time_zone_description": Field("string", read_only=True),
        "address": Field("object", model=EVENT_ADDRESS),
        "contact": Field("object", model=EVENT_CONTACT),
        "currency_type": Field("string"),
        "payment_options": Field("array", items=Field("string")),
        "payable_to": Field("string"),
        "payment_address": Field("object", model=PAYMENT_ADDRESS),
        "paypal_account_email": Field("string"),
        "google_merchant_id": Field("string"),
        "google_analytics_key": Field("string"),
        "is_virtual_event": Field("boolean"),
        "online_meeting": Field("object", model=ONLINE_MEETING),
        "notification_options": Field("array", items=Field("object", model=NOTIFICATION_OPTION)),
        "track_information": Field("object", model=TRACK_INFORMATION),
        "is_calendar_displayed": Field("boolean"),
        "is_checkin_available": Field("boolean"),
        "is_home_page_displayed": Field("boolean"),
        "is_listed_in_external_directory": Field("boolean"),
        "is_map_displayed": Field("boolean"),
        "are_registrants_public": Field("boolean"),
        "theme_name": Field("string"),
        "twitter_hash_tag": Field("string"),
        "meta_data_tags": Field("string"),
        "registration_url": Field("string", read_only=True),
        "total_registered_count": Field("integer", read_only=True),
        "event_detail_url": Field("string", read_only=True),
        "created_date": Field("datetime", read_only=True),
        "updated_date": Field("datetime", read_only=True),
        "active_date": Field("datetime", read_only=True),
        "cancelled_date": Field("datetime", read_only=True),
        "deleted_date": Field("datetime", read_only=True),
    },
)

EVENT_WRITE = Model(
    "EventWrite",
    {
        "name": Field("string", required=True, max_length=100),
        "title": Field("string", required=True, max_length=100),
        "type": Field(
            "string",
            required=True,
            allowed=(
                "AUCTION",
                "BIRTHDAY",
                "BUSINESS_FINANCE_SALES",
                "CLASSES_WORKSHOPS",
                "COMPETITION_SPORTS",
                "CONFERENCES_SEMINARS_FORUM",
                "CONVENTIONS_TRADESHOWS_EXPOS",
                "FESTIVALS_FAIRS",
                "FOOD_WINE",
                "FUNDRAISERS_CHARITIES",
                "HOLIDAY",
                "INCENTIVE_REWARD_RECOGNITION",
                "MOVIES_FILM",
                "MUSIC_CONCERTS",
                "NETWORKING_CLUBS",
                "PERFORMING_ARTS",
                "OUTDOORS_RECREATION",
                "RELIGION_SPIRITUALITY",
                "SCHOOLS_REUNIONS_ALUMNI",
                "PARTIES_SOCIAL_EVENTS_MIXERS",
                "TRAVEL",
                "WEBINAR_TELESEMINAR_TELECLASS",
                "WEDDINGS",
                "OTHER",
            ),
        ),
        "description": Field("string"),
        "location": Field("string"),
        "start_date": Field("datetime", required=True),
        "end_date": Field("datetime", required=True),
        "time_zone_id": Field("string", required=True),
        "address": Field("object", model=EVENT_ADDRESS),
        "contact": Field("object", required=True, model=EVENT_CONTACT),
        "currency_type": Field(
            "string",
            allowed=(
                "USD",
                "CAD",
                "AUD",
                "CHF",
                "CZK",
                "DKK",
                "EUR",
                "GBP",
                "HKD",
                "HUF",
                "ILS",
                "JPY",
                "MXN",
                "NOK",
                "NZD",
                "PHP",
                "PLN",
                "SEK",
                "SGD",
                "THB",
                "TWD",
            ),
        ),
        "payment_options": Field(
            "array",
            items=Field(
                "string",
                allowed=(
                    "ONLINE_CREDIT_CARD_PROCESSOR",
                    "PAYPAL",
                    "GOOGLE_CHECKOUT",
                    "CHECK",
                    "DOOR",
                ),
            ),
        ),
        "payable_to": Field("string"),
        "payment_address": Field("object", model=PAYMENT_ADDRESS),
        "paypal_account_email": Field("string"),
        "google_merchant_id": Field("string"),
        "google_analytics_key": Field("string"),
        "is_virtual_event": Field("boolean"),
        "online_meeting": Field("object", model=ONLINE_MEETING),
        "notification_options": Field("array", items=Field("object", model=NOTIFICATION_OPTION)),
        "track_information": Field("object", model=TRACK_INFORMATION),
        "is_calendar_displayed": Field("boolean"),
        "is_checkin_available": Field("boolean"),
        "is_home_page_displayed": Field("boolean"),
        "is_listed_in_external_directory": Field("boolean"),
        "is_map_displayed": Field("boolean"),
        "are_registrants_public": Field("boolean"),
        "theme_name": Field("string"),
        "twitter_hash_tag": Field("string"),
        "meta_data_tags": Field("string"),
    },
)

EVENT_SUMMARY = Model(
    "EventSummary",
    {
        "id": Field("id", required=True),
        "name": Field("string"),
        "title": Field("string"),
        "status": Field("string"),
        "type": Field("string"),
        "location": Field("string"),
        "address": Field("object", model=EVENT_ADDRESS),
        "description": Field("string"),
        "start_date": Field("datetime"),
        "end_date": Field("datetime"),
        "created_date": Field("datetime"),
        "active_date": Field("datetime"),
        "time_zone_id": Field("string"),
        "is_checkin_available": Field("boolean"),
        "event_detail_url": Field("string"),
    },
)

EVENT_STATUS_PATCH = Model(
    "EventStatusPatch",
    {
        "op": Field("string", required=True, allowed=("REPLACE",)),
        "path": Field("string", required=True, allowed=("#/status",)),
        "value": Field("string", required=True, allowed=("ACTIVE", "CANCELLED")),
    },
)

FEE = Model(
    "Fee",
    {
        "id": Field("id", required=True, read_only=True),
        "label": Field("string"),
        "fee": Field("number"),
        "early_fee": Field("number"),
        "late_fee": Field("number"),
        "fee_scope": Field("string"),
        "has_restricted_access": Field("boolean"),
    },
)

FEE_WRITE = Model(
    "FeeWrite",
    {
        "label": Field("string", required=True, max_length=100),
        "fee": Field("number", required=True, minimum=0),
        "early_fee": Field("number", minimum=0),
        "late_fee": Field("number", minimum=0),
        "fee_scope": Field(
            "string", required=True, allowed=("BOTH", "REGISTRANTS", "REGISTRANT", "GUESTS")
        ),
        "has_restricted_access": Field("boolean"),
    },
)

ITEM_ATTRIBUTE = Model(
    "ItemAttribute",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string"),
        "quantity_total": Field("integer"),
        "quantity_available": Field("integer", read_only=True),
    },
)

ITEM_ATTRIBUTE_WRITE = Model(
    "ItemAttributeWrite",
    {
        "name": Field("string", required=True, max_length=100),
        "quantity_total": Field("integer", required=True, minimum=0),
    },
)

ITEM = Model(
    "Item",
    {
        "id": Field("id", required=True, read_only=True),
        "name": Field("string"),
        "description": Field("string"),
        "price": Field("number"),
        "default_quantity_total": Field("integer"),
        "default_quantity_available": Field("integer", read_only=True),
        "per_registrant_limit": Field("integer"),
        "show_quantity_available": Field("boolean"),
        "attributes": Field("array", items=Field("object", model=ITEM_ATTRIBUTE), read_only=True),
    },
)

ITEM_WRITE = Model(
    "ItemWrite",
    {
        "name": Field("string", required=True, max_length=100),
        "description": Field("string", max_length=2048),
        "price": Field("number", required=True, minimum=0),
        "default_quantity_total": Field("integer", required=True, minimum=0),
        "per_registrant_limit": Field("integer", required=True, minimum=0),
        "show_quantity_available": Field("boolean", required=True),
    },
)

PROMOCODE = Model(
    "Promocode",
    {
        "id": Field("id", required=True, read_only=True),
        "code_name": Field("string"),
        "code_type": Field("string"),
        "discount_scope": Field("string"),
        "discount_type": Field("string"),
        "discount_amount": Field("number"),
        "discount_percent": Field("integer"),
        "fee_ids": Field("array", items=Field("id")),
        "is_paused": Field("boolean"),
        "quantity_total": Field("integer"),
        "quantity_available": Field("integer", read_only=True),
        "quantity_used": Field("integer", read_only=True),
        "status": Field("string", read_only=True),
    },
)

PROMOCODE_WRITE = Model(
    "PromocodeWrite",
    {
        "code_name": Field("string", required=True, pattern="[A-Za-z0-9_]{4,12}"),
        "code_type": Field("string", required=True, allowed=("ACCESS", "DISCOUNT")),
        "discount_scope": Field("string", allowed=("FEE_LIST", "ORDER_TOTAL")),
        "discount_type": Field("string", allowed=("PERCENT", "AMOUNT")),
        "discount_amount": Field("number", minimum=0.01),
        "discount_percent": Field("integer", minimum=1, maximum=100),
        "fee_ids": Field("array", items=Field("id")),
        "is_paused": Field("boolean"),
        "quantity_total": Field("integer", minimum=-1),
    },
)
