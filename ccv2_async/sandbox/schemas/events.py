"""The bodies of events."""

from __future__ import annotations

from ccv2_async.sandbox.fields import Field, Model, fields, words

EVENT_ADDRESS = Model(
    "EventAddress",
    {
        **fields("string", "line1 line2 line3 city state state_code country country_code"),
        "postal_code": Field("string"),
        **fields("number", "latitude longitude"),
    },
)

PAYMENT_ADDRESS = Model(
    "PaymentAddress",
    {
        **fields("string", "line1 line2 line3 city state state_code country country_code"),
        "postal_code": Field("string"),
        **fields("number", "latitude longitude"),
    },
)

EVENT_CONTACT = Model(
    "EventContact",
    {
        "name": Field("string", required=True),
        **fields("string", "email_address organization_name phone_number"),
    },
)

NOTIFICATION_OPTION = Model(
    "NotificationOption", {"notification_type": Field("string"), "is_opted_in": Field("boolean")}
)

ONLINE_MEETING = Model(
    "OnlineMeeting",
    {
        "instructions": Field("string"),
        "provider_meeting_id": Field("id"),
        **fields("string", "provider_type url"),
    },
)

TRACK_INFORMATION = Model(
    "TrackInformation",
    {
        **fields("datetime", "early_fee_date late_fee_date"),
        "guest_display_label": Field("string"),
        "guest_limit": Field("integer"),
        "information_sections": Field("array", items=Field("string")),
        **fields("boolean", "is_guest_anonymous_enabled is_guest_name_required"),
        **fields("boolean", "is_registration_closed_manually is_ticketing_link_displayed"),
        "registration_limit_count": Field("integer"),
        "registration_limit_date": Field("datetime"),
    },
)

EVENT = Model(
    "Event",
    {
        "id": Field("id", required=True, read_only=True),
        **fields("string", "name title"),
        "status": Field("string", read_only=True),
        **fields("string", "type description location"),
        **fields("datetime", "start_date end_date"),
        "time_zone_id": Field("string"),
        "time_zone_description": Field("string", read_only=True),
        "address": Field("object", model=EVENT_ADDRESS),
        "contact": Field("object", model=EVENT_CONTACT),
        "currency_type": Field("string"),
        "payment_options": Field("array", items=Field("string")),
        "payable_to": Field("string"),
        "payment_address": Field("object", model=PAYMENT_ADDRESS),
        **fields("string", "paypal_account_email google_merchant_id google_analytics_key"),
        "is_virtual_event": Field("boolean"),
        "online_meeting": Field("object", model=ONLINE_MEETING),
        "notification_options": Field("array", items=Field("object", model=NOTIFICATION_OPTION)),
        "track_information": Field("object", model=TRACK_INFORMATION),
        **fields("boolean", "is_calendar_displayed is_checkin_available is_home_page_displayed"),
        **fields("boolean", "is_listed_in_external_directory is_map_displayed"),
        "are_registrants_public": Field("boolean"),
        **fields("string", "theme_name twitter_hash_tag meta_data_tags"),
        "registration_url": Field("string", read_only=True),
        "total_registered_count": Field("integer", read_only=True),
        "event_detail_url": Field("string", read_only=True),
        **fields("datetime", "created_date updated_date active_date", read_only=True),
        **fields("datetime", "cancelled_date deleted_date", read_only=True),
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
            allowed=words(
                "AUCTION BIRTHDAY BUSINESS_FINANCE_SALES CLASSES_WORKSHOPS COMPETITION_SPORTS "
                "CONFERENCES_SEMINARS_FORUM CONVENTIONS_TRADESHOWS_EXPOS FESTIVALS_FAIRS "
                "FOOD_WINE FUNDRAISERS_CHARITIES HOLIDAY INCENTIVE_REWARD_RECOGNITION MOVIES_FILM "
                "MUSIC_CONCERTS NETWORKING_CLUBS PERFORMING_ARTS OUTDOORS_RECREATION "
                "RELIGION_SPIRITUALITY SCHOOLS_REUNIONS_ALUMNI PARTIES_SOCIAL_EVENTS_MIXERS "
                "TRAVEL WEBINAR_TELESEMINAR_TELECLASS WEDDINGS OTHER"
            ),
        ),
        **fields("string", "description location"),
        **fields("datetime", "start_date end_date", required=True),
        "time_zone_id": Field("string", required=True),
        "address": Field("object", model=EVENT_ADDRESS),
        "contact": Field("object", required=True, model=EVENT_CONTACT),
        "currency_type": Field(
            "string",
            allowed=words(
                "USD CAD AUD CHF CZK DKK EUR GBP HKD HUF ILS JPY MXN NOK NZD PHP PLN SEK SGD THB "
                "TWD"
            ),
        ),
        "payment_options": Field(
            "array",
            items=Field(
                "string",
                allowed=words("ONLINE_CREDIT_CARD_PROCESSOR PAYPAL GOOGLE_CHECKOUT CHECK DOOR"),
            ),
        ),
        "payable_to": Field("string"),
        "payment_address": Field("object", model=PAYMENT_ADDRESS),
        **fields("string", "paypal_account_email google_merchant_id google_analytics_key"),
        "is_virtual_event": Field("boolean"),
        "online_meeting": Field("object", model=ONLINE_MEETING),
        "notification_options": Field("array", items=Field("object", model=NOTIFICATION_OPTION)),
        "track_information": Field("object", model=TRACK_INFORMATION),
        **fields("boolean", "is_calendar_displayed is_checkin_available is_home_page_displayed"),
        **fields("boolean", "is_listed_in_external_directory is_map_displayed"),
        "are_registrants_public": Field("boolean"),
        **fields("string", "theme_name twitter_hash_tag meta_data_tags"),
    },
)

EVENT_SUMMARY = Model(
    "EventSummary",
    {
        "id": Field("id", required=True),
        **fields("string", "name title status type location"),
        "address": Field("object", model=EVENT_ADDRESS),
        "description": Field("string"),
        **fields("datetime", "start_date end_date created_date active_date"),
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
        **fields("number", "fee early_fee late_fee"),
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
        **fields("string", "name description"),
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
        **fields("string", "code_name code_type discount_scope discount_type"),
        "discount_amount": Field("number"),
        "discount_percent": Field("integer"),
        "fee_ids": Field("array", items=Field("id")),
        "is_paused": Field("boolean"),
        "quantity_total": Field("integer"),
        **fields("integer", "quantity_available quantity_used", read_only=True),
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
